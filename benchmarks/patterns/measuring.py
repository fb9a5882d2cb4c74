"""Runs the services and the load, and looks at what the mail server and the sign-up service say of it."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2 as calls
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from benchmarks.patterns.measurement import Measurement, emails_a_second
from benchmarks.patterns.plan import MODES, Plan, address, rounds
from benchmarks.percentile import percentile
from mesh.channel import open_channel
from stage.mail_log import MailServer, mail_server
from stage.own_mesh import own_mesh, temporary_folder
from stage.waiting import until

_WARM_UP = 0
_LOOK_EVERY = 0.5


class Bench:
    """A mesh, its mail server, and who measures them."""

    def __init__(self, plan: Plan, signup: str, channel: grpc.aio.Channel, mail: MailServer) -> None:
        self._plan, self._signup, self._mail = plan, signup, mail
        self._stub = SignupServiceStub(channel)

    async def warm_up(self) -> None:
        """Let every mode run a little, so that no first time of anything is measured; then let mails be refused."""
        for mode in MODES if self._plan.warm_up else ():
            await self._load(mode, _WARM_UP, self._plan.warm_up)
        await self._decided()
        self._mail.behave(self._plan.manners)

    async def measure(self, mode: str, number: int) -> Measurement:
        """One mode in one round, to the end of its last email."""
        runners = self._plan.runners
        before = await self._count(pb.Confirmation.STATE_FAILED)
        load = await self._load(mode, number, runners)
        undecided = await self._decided()
        mine = {address(mode, number, runner) for runner in range(runners)}
        events = [event for event in self._mail.events() if event.recipient in mine]
        mails = Counter(event.recipient for event in events if event.what == "taken")
        taken = sorted(event.time for event in events if event.what == "taken")
        return Measurement(
            mode=mode,
            number=number,
            runners=runners,
            answer_p50=percentile(load["waited"], 0.5),
            answer_p99=percentile(load["waited"], 0.99),
            emails_a_second=emails_a_second(taken, runners, load["begun"]),
            last_email=taken[-1] - load["begun"] if taken else 0.0,
            with_email=len(mails),
            twice=sum(count > 1 for count in mails.values()),
            tries=sum(event.what == "transferred" for event in events),
            failed=await self._count(pb.Confirmation.STATE_FAILED) - before,
            undecided=undecided,
        )

    async def _load(self, mode: str, number: int, runners: int) -> Any:
        numbers = {"--number": number, "--runners": runners, "--clients": self._plan.clients}
        options = [part for name, value in numbers.items() for part in (name, str(value))]
        options += ["--target", self._signup, "--mode", mode]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.patterns.load", *options, stdout=asyncio.subprocess.PIPE
        )
        written, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"the load ended with code {process.returncode}")
        return json.loads(written)

    async def _decided(self) -> int:
        """Wait until no confirmation is on its way any more; how many still are when patience is at its end."""
        await until(self._any_pending, lambda pending: not pending, within=self._plan.patience, every=_LOOK_EVERY)
        return await self._count(pb.Confirmation.STATE_PENDING)

    async def _any_pending(self) -> bool:
        """A look at one registration at most: what watches must not slow down what it measures."""
        request = calls.ListRegistrationsRequest(page_size=1, confirmation_state=pb.Confirmation.STATE_PENDING)
        return bool((await self._stub.ListRegistrations(request)).registrations)

    async def _count(self, state: "pb.Confirmation.State.ValueType") -> int:
        count, token = 0, ""
        while True:
            request = calls.ListRegistrationsRequest(page_size=1000, page_token=token, confirmation_state=state)
            response = await self._stub.ListRegistrations(request)
            count, token = count + len(response.registrations), response.next_page_token
            if not token:
                return count


@asynccontextmanager
async def bench(plan: Plan) -> AsyncIterator[Bench]:
    """Everything that is measured, running, as it comes: no setting is changed for the sake of a figure."""
    with temporary_folder() as name:
        folder = Path(name)
        async with mail_server(folder, replace(plan.manners, share_refused=0.0)) as mail:
            settings = {"BATON_EMAIL_SMTP_URL": mail.url}
            async with own_mesh(folder, settings) as mesh, open_channel(mesh.signup, packages=("signup",)) as channel:
                yield Bench(plan, mesh.signup, channel, mail)


async def measure(plan: Plan) -> list[Measurement]:
    """The whole plan; says on standard error how far it is."""
    found = []
    async with bench(plan) as at:
        await at.warm_up()
        for number, mode in rounds(plan):
            begun = time.monotonic()
            found.append(await at.measure(mode, number))
            seconds = time.monotonic() - begun
            print(f"round {number} of {plan.rounds}  {mode:<10}  {seconds:5.1f} s", file=sys.stderr, flush=True)
    return found
