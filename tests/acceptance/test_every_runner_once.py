"""A thousand runners sign up while services are killed and answers get lost: each has one place, and one mail."""

import asyncio
import json
import os
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from baton.email.v1 import email_service_pb2
from baton.email.v1.email_service_pb2_grpc import EmailServiceStub
from baton.queue.v1 import queue_pb2
from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from mesh.channel import open_channel
from tests.support.eventually import eventually
from tests.support.lost_answers import LossyProxy, losing_answers
from tests.support.mail_ledger import MailLedger, mail_ledger
from tests.support.mail_verdict import judge
from tests.support.processes import MeshProcesses, Service, free_port, mesh_in
from tests.support.queue_file import CONFIRMATIONS, REPORTS, write_queue_file
from tests.support.runners import SignUp, emptied, runner, signing_up

pytestmark = pytest.mark.acceptance

TORTURE = bool(os.environ.get("BATON_TORTURE"))
RUNNERS, ROUNDS = (10_000, 12) if TORTURE else (1_000, 3)
SEED = random.SystemRandom().randrange(2**32) if TORTURE else 1969
CALLERS = 16
# So many registrations may be ahead of the mails: the services have work in hand whenever one of them is killed.
AHEAD = 150
SECONDS_A_MAIL = 0.003
QUEUED, BACKGROUND, SEQUENTIAL = (
    pb.CONFIRMATION_MODE_QUEUED,
    pb.CONFIRMATION_MODE_BACKGROUND,
    pb.CONFIRMATION_MODE_SEQUENTIAL,
)
MODES = (QUEUED, QUEUED, BACKGROUND, QUEUED, QUEUED, SEQUENTIAL, QUEUED, QUEUED, BACKGROUND, QUEUED)
# Seconds: longer than an email's own limit, also on a machine that has more to do.
SETTLING = 90.0
PENDING, FAILED = pb.Confirmation.STATE_PENDING, pb.Confirmation.STATE_FAILED


@dataclass
class Race:
    """Who runs, on which mesh, and what was lost on the way."""

    mesh: MeshProcesses
    ledger: MailLedger
    proxies: Sequence[LossyProxy]

    async def register_all(self) -> list[pb.Registration]:
        """Register everybody, by callers that come again until they have an answer."""
        numbers = iter(range(RUNNERS))

        async def call(sign_up: SignUp) -> list[pb.Registration]:
            answers: list[pb.Registration] = []
            for number in numbers:
                await self.ledger.took(number - AHEAD)
                answers.append(await sign_up.insist(runner(number), MODES[number % len(MODES)]))
            return answers

        async with signing_up(self.proxies[0].address) as sign_up:
            all_answers = await asyncio.gather(*(call(sign_up) for _ in range(CALLERS)))
        return [answer for answers in all_answers for answer in answers]

    async def listed(
        self, state: "pb.Confirmation.State.ValueType" = pb.Confirmation.STATE_UNSPECIFIED
    ) -> list[pb.Registration]:
        """All registrations, or those whose confirmation is in a state."""
        found: list[pb.Registration] = []
        request = signup_service_pb2.ListRegistrationsRequest(page_size=1_000, confirmation_state=state)
        async with open_channel(self.mesh.signup.address, packages=("signup",)) as channel:
            while True:
                page = await SignupServiceStub(channel).ListRegistrations(request, wait_for_ready=True)
                found += page.registrations
                if not page.next_page_token:
                    return found
                request.page_token = page.next_page_token

    async def resend(self, registrations: Sequence[pb.Registration]) -> None:
        """Ask for the confirmation anew, as somebody does who sees that it failed."""
        async with open_channel(self.mesh.signup.address, packages=("signup",)) as channel:
            for registration in registrations:
                request = signup_service_pb2.ResendConfirmationRequest(registration_id=registration.registration_id)
                await SignupServiceStub(channel).ResendConfirmation(request, wait_for_ready=True)

    async def settled(self) -> list[queue_pb2.QueueStats]:
        """Wait until nothing is on its way any more."""
        await eventually(lambda: self.listed(PENDING), lambda pending: not pending, within=SETTLING)
        await eventually(self.outbox_entries, lambda entries: entries == 0)
        return [await emptied(self.mesh.queue, queue) for queue in (CONFIRMATIONS, REPORTS)]

    async def outbox_entries(self) -> int:
        """How many messages wait in the services for the broker."""
        return sum(_entries(self.mesh.folder / "data" / name) for name in ("signup.db", "email.db"))

    async def recipients(self) -> dict[str, str]:
        """Whom each email went to, by its id."""
        found: dict[str, str] = {}
        request = email_service_pb2.ListEmailsRequest(page_size=1_000)
        async with open_channel(self.mesh.email.address, packages=("email",)) as channel:
            while not found or request.page_token:
                page = await EmailServiceStub(channel).ListEmails(request, wait_for_ready=True)
                found |= {email.email_id: email.to for email in page.emails}
                request.page_token = page.next_page_token
        return found


def _entries(database: Path) -> int:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM outbox").fetchone()[0])
    finally:
        connection.close()


class Killer:
    """Kills each service in every round, at a moment drawn by chance.

    The email service dies in the middle of a conversation every other time: the mail is taken, and not answered yet.
    """

    def __init__(self, race: Race, chance: random.Random) -> None:
        self._mesh, self._ledger, self._chance = race.mesh, race.ledger, chance
        self.aimed = 0
        """How often it died in the middle of a conversation on purpose."""
        self.noted: dict[int, set[str]] = {}
        """For each of its lives the emails that it had noted as sent."""

    async def run(self) -> None:
        victims = [victim for _ in range(ROUNDS) for victim in self._chance.sample(self._mesh.services, 3)]
        for turn, victim in enumerate(victims, start=1):
            await self._ledger.took(turn * RUNNERS // (len(victims) + 2))
            await self._ledger.heard(self._chance.randint(1, 30))
            await (self._kill_mailer() if victim is self._mesh.email else victim.kill())
            await self._mesh.start(victim)

    async def _kill_mailer(self) -> None:
        if len(self.noted) % 2 == 0:
            self.aimed += 1
            await self._ledger.holding()
        await self._mesh.email.kill()
        self.noted[self._ledger.life] = _noted_by(self._mesh.email)
        await self._ledger.let_go()


def _noted_by(email: Service) -> set[str]:
    lines = [json.loads(line) for line in str(email.errors).splitlines() if '"email_sent"' in line]
    return {line["email_id"] for line in lines}


@asynccontextmanager
async def race(folder: Path, chance: random.Random) -> AsyncIterator[Race]:
    """A mesh, serving, in which everybody is reached through a proxy that loses answers now and then."""
    async with mail_ledger(SECONDS_A_MAIL) as ledger, mesh_in(folder) as mesh:
        queues = write_queue_file(folder / "queues.toml", visibility="2s")
        queues.write_text(queues.read_text().replace('"10m"', '"1s"'))  # the longest wait of what fails again and again
        mesh.set("BATON_QUEUE_CONFIG", queues)
        mesh.set("BATON_EMAIL_SMTP_URL", ledger.url)
        email = f"127.0.0.1:{free_port()}"
        mesh.set("BATON_EMAIL_LISTEN", f"{mesh.email.address},{email}")
        async with (
            losing_answers(mesh.signup.address, _gaps(chance, 40, 120)) as to_signup,
            losing_answers(mesh.queue.address, _gaps(chance, 20, 60)) as to_queue,
            losing_answers(email, _gaps(chance, 150, 300)) as to_email,
        ):
            for name, proxy in (("SIGNUP", to_signup), ("QUEUE", to_queue), ("EMAIL", to_email)):
                mesh.set(f"BATON_{name}_ADDRESS", proxy.address)
            await mesh.start()
            yield Race(mesh, ledger, (to_signup, to_queue, to_email))


def _gaps(chance: random.Random, least: int, most: int) -> Iterator[int]:
    own = random.Random(chance.getrandbits(32))
    return (own.randint(least, most) for _ in count())


@pytest.mark.timeout(3_600 if TORTURE else 300)
async def test_every_runner_has_one_place_and_one_mail_whatever_is_killed_or_lost(
    folder: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(SEED)
    async with race(folder, chance) as running:
        killer = Killer(running, chance)

        answered, _ = await asyncio.gather(running.register_all(), killer.run())
        await running.settled()
        failed = await running.listed(FAILED)
        await running.resend(failed)
        stats = await running.settled()

        everybody = await running.listed()
        emails = await running.recipients()

    noted = {life: {emails[email_id] for email_id in some} for life, some in killer.noted.items()}
    verdict = judge(
        {registration.email for registration in everybody},
        running.ledger.deliveries,
        noted,
        resent={registration.email for registration in failed},
    )
    record_property("seed", SEED)
    record_property("mails", f"{verdict}; sent anew on request: {len(failed)}")
    record_property("answers lost before sign-up, broker, email", [proxy.lost for proxy in running.proxies])
    record_property("deliveries", [f"{each.delivered_total} of {each.sent_total} messages" for each in stats])
    assert verdict.faults == []
    assert verdict.cut >= killer.aimed > 0
    assert sorted(each.email for each in everybody) == sorted(runner(number).email for number in range(RUNNERS))
    assert {each.registration_id for each in answered} == {each.registration_id for each in everybody}
    assert {each.confirmation.state for each in everybody} == {pb.Confirmation.STATE_SENT}
    # Nobody but a caller who waited for the mail, and was told that it failed, has to ask for it again.
    assert {each.confirmation.mode for each in failed} <= {SEQUENTIAL}
    assert all(each.dead_lettered_total == each.dropped_total == 0 for each in stats)
    # It was no quiet day: messages were delivered again, and sent again, in both queues.
    assert all(proxy.lost for proxy in running.proxies)
    assert all(each.delivered_total > each.sent_total and each.deduplicated_total for each in stats)
