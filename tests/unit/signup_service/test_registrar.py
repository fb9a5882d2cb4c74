"""Registering, with nobody around."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

import pytest

from mesh import deadline
from mesh.clock import SECOND
from mesh.database import Database, sqlite_url
from mesh.identifier import Identifiers
from mesh.outbox_entry import OutboxEntry
from mesh.sql_outbox import SqlOutbox
from mesh.store_thread import StoreThread
from mesh.task_set import TaskSet
from signup_service.changes import Changes
from signup_service.errors import Draining, RegistrationCancelled, RegistrationExists, RequestIdReused
from signup_service.mailer import Answer
from signup_service.outcome import PENDING, SENT, WITHDRAWN, Outcome
from signup_service.race import Race
from signup_service.registrar import Registrar
from signup_service.registration import Cause, Mode, Registration, State
from signup_service.runner_email import RunnerEmail
from signup_service.sender import Sender
from signup_service.storage import schema
from signup_service.storage.sql import SqlRegistrationStore
from signup_service.storage.threaded import ThreadedStore
from signup_service.trace_context import Tracer
from tests.support.fake_clock import FakeClock
from tests.unit.signup_service.example import runner


class HeldMailer:
    """Sends when it is let."""

    def __init__(self) -> None:
        self.asked, self.open = asyncio.Event(), asyncio.Event()
        self.emails = 0

    async def send(self, registration: Registration, timeout: float) -> Answer:
        self.emails += 1
        self.asked.set()
        await self.open.wait()
        return Answer(Outcome(SENT))


class Office:
    """A registrar with its surroundings."""

    def __init__(self, database: Database) -> None:
        clock, random = FakeClock(), Random(7)
        email = RunnerEmail(Race("Baton Marathon", 0, "Town Hall Square"), Tracer(random))
        self.clock, self.thread, self.changes = clock, StoreThread("registrations"), Changes()
        self.store = ThreadedStore(
            SqlRegistrationStore(database.engine, email.entry), self.thread, clock, self.changes.publish
        )
        self.outbox = SqlOutbox(database.engine, schema.OUTBOX, self.thread)
        self.tasks, self.mailer = TaskSet(), HeldMailer()
        self.registrar = Registrar(
            self.store,
            Sender(self.mailer, self.store, clock, self.tasks),
            self.changes,
            clock=clock,
            identifiers=Identifiers(clock, random),
            tasks=self.tasks,
        )

    async def entries(self) -> Sequence[OutboxEntry]:
        """What waits in the outbox, due or not."""
        return await self.outbox.pending(self.clock.now() + 3_600 * SECOND, 10)

    async def register(self, email: str = "ada@example.org", *, mode: Mode, request_id: str = "") -> Registration:
        return await self.registrar.register(runner(email), mode, "1" * 32, request_id)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    database = Database(sqlite_url(tmp_path / "signup.db"), schema.SCHEMA)
    office = Office(database)
    yield office
    await office.tasks.cancel()
    office.thread.close()
    database.close()


async def test_queued_stores_row_and_entry(office: Office) -> None:
    registration = await office.register(mode=Mode.QUEUED)

    (entry,) = await office.entries()
    assert entry.entry_id == registration.confirmation.key == f"confirmation:{registration.registration_id}"
    assert entry.attributes["traceparent"].split("-")[1] == registration.confirmation.trace_id
    assert office.mailer.emails == 0


async def test_background_answers_before_the_email_is_sent(office: Office) -> None:
    registration = await office.register(mode=Mode.BACKGROUND)

    assert registration.confirmation.state is PENDING
    assert await office.entries() == []
    office.mailer.open.set()
    await office.registrar.drain(20)
    assert (await office.registrar.find(registration.registration_id)).confirmation.state is SENT


async def test_sequential_answers_when_the_email_is_sent(office: Office) -> None:
    registering = asyncio.create_task(office.register(mode=Mode.SEQUENTIAL))
    await office.mailer.asked.wait()
    assert not registering.done()

    office.mailer.open.set()

    assert (await registering).confirmation.state is SENT


async def test_sequential_answers_pending_when_the_callers_time_is_up(office: Office) -> None:
    deadline.note(0.2)

    registration = await office.register(mode=Mode.SEQUENTIAL)

    assert registration.confirmation.state is PENDING
    office.mailer.open.set()
    await office.registrar.drain(20)
    assert (await office.registrar.find(registration.registration_id)).confirmation.state is SENT


async def test_a_caller_who_hangs_up_strands_nothing(office: Office) -> None:
    registering = asyncio.create_task(office.register(mode=Mode.SEQUENTIAL))
    await office.mailer.asked.wait()

    registering.cancel()
    office.mailer.open.set()
    await office.registrar.drain(20)

    (registration,) = await office.registrar.page("", 10, SENT)
    assert registration.runner.email == "ada@example.org"


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_repeated_request_id_finds_the_first_registration_and_sends_nothing(office: Office, mode: Mode) -> None:
    office.mailer.open.set()

    first, second = await asyncio.gather(
        office.register(mode=mode, request_id="r1"), office.register(mode=mode, request_id="r1")
    )
    third = await office.register(mode=mode, request_id="r1")

    assert first.registration_id == second.registration_id == third.registration_id
    await office.registrar.drain(20)
    assert office.mailer.emails + len(await office.entries()) == 1


@pytest.mark.parametrize("other", [("bob@example.org", Mode.QUEUED), ("ada@example.org", Mode.BACKGROUND)])
async def test_a_request_id_cannot_ask_for_two_things(office: Office, other: tuple[str, Mode]) -> None:
    await office.register(mode=Mode.QUEUED, request_id="r1")

    with pytest.raises(RequestIdReused):
        await office.register(other[0], mode=other[1], request_id="r1")


async def test_one_of_many_at_once_gets_the_address(office: Office) -> None:
    emails = ["ada@example.org", "Ada@example.org", "ADA@EXAMPLE.ORG", "ada@Example.org"]

    answers = await asyncio.gather(
        *(office.register(email, mode=Mode.QUEUED) for email in emails), return_exceptions=True
    )

    assert sum(isinstance(answer, Registration) for answer in answers) == 1
    assert sum(isinstance(answer, RegistrationExists) for answer in answers) == 3


async def test_a_stopping_service_registers_nobody(office: Office) -> None:
    await office.registrar.drain(1)

    with pytest.raises(Draining):
        await office.register(mode=Mode.QUEUED)


async def test_draining_does_not_wait_for_ever(office: Office) -> None:
    await office.register(mode=Mode.BACKGROUND)
    await office.mailer.asked.wait()

    await office.registrar.drain(0)

    (registration,) = await office.registrar.page("", 10, PENDING)
    assert registration.confirmation.mode is Mode.BACKGROUND


async def test_a_cancelled_runner_is_told_after_the_confirmation_is_out_of_the_way(office: Office) -> None:
    registration = await office.register(mode=Mode.QUEUED)

    cancelled = await office.registrar.cancel(registration.registration_id, Cause.REQUESTED, "I fell ill")

    withdrawal, told = await office.entries()
    assert (withdrawal.entry_id, withdrawal.withdraw) == (registration.confirmation.key, True)
    assert (told.entry_id, told.withdraw) == (f"cancellation:{registration.registration_id}", False)
    assert withdrawal.order_key == told.order_key == registration.registration_id
    assert (cancelled.state, cancelled.confirmation.state) == (State.CANCELLED, PENDING)
    assert b"I fell ill" in told.value


async def test_cancelling_twice_is_cancelling_once(office: Office) -> None:
    registration = await office.register(mode=Mode.QUEUED)

    first = await office.registrar.cancel(registration.registration_id, Cause.REQUESTED, "first")
    second = await office.registrar.cancel(registration.registration_id, Cause.REQUESTED, "second")

    assert first == second
    assert len(await office.entries()) == 2


async def test_a_cancelled_place_and_its_address_are_free_again(office: Office) -> None:
    registration = await office.register(mode=Mode.QUEUED)
    await office.registrar.cancel(registration.registration_id, Cause.REQUESTED, "")

    again = await office.register(mode=Mode.QUEUED)

    assert again.registration_id != registration.registration_id


async def test_the_try_under_way_may_end_before_a_cancelled_runner_is_told(office: Office) -> None:
    registration = await office.register(mode=Mode.BACKGROUND)
    await office.mailer.asked.wait()
    cancelling = asyncio.create_task(office.registrar.cancel(registration.registration_id, Cause.REQUESTED, ""))
    with office.changes.watching(registration.registration_id) as watch:
        assert (await watch.next()).state is State.CANCELLED

    assert await office.outbox.pending(office.clock.now(), 10) == []
    office.mailer.open.set()

    assert (await cancelling).confirmation.state is SENT
    (told,) = await office.outbox.pending(office.clock.now(), 10)
    assert told.entry_id == f"cancellation:{registration.registration_id}"


async def test_a_confirmation_that_nobody_sends_any_more_is_withdrawn(office: Office) -> None:
    registration = await office.register(mode=Mode.BACKGROUND)
    await office.tasks.cancel()

    cancelled = await office.registrar.cancel(registration.registration_id, Cause.REQUESTED, "")

    assert cancelled.confirmation.state is WITHDRAWN
    assert len(await office.outbox.pending(office.clock.now(), 10)) == 1


async def test_a_confirmation_is_sent_anew_after_the_one_before_is_taken_back(office: Office) -> None:
    registration = await office.register(mode=Mode.QUEUED)

    again = await office.registrar.resend(registration.registration_id, "f" * 32, "")

    entries = [(entry.entry_id, entry.withdraw) for entry in await office.entries()]
    assert entries == [(registration.confirmation.key, True), (f"{registration.confirmation.key}:2", False)]
    assert again.confirmation.key == f"{registration.confirmation.key}:2"


async def test_a_repeated_resend_sends_nothing(office: Office) -> None:
    registration = await office.register(mode=Mode.QUEUED)

    first, second = [await office.registrar.resend(registration.registration_id, "f" * 32, "again") for _ in range(2)]

    assert first == second
    assert len(await office.entries()) == 2
    with pytest.raises(RequestIdReused):
        await office.register("bob@example.org", mode=Mode.QUEUED, request_id="again")


async def test_what_is_cancelled_is_not_confirmed_again(office: Office) -> None:
    registration = await office.register(mode=Mode.QUEUED)
    await office.registrar.cancel(registration.registration_id, Cause.REQUESTED, "")

    with pytest.raises(RegistrationCancelled):
        await office.registrar.resend(registration.registration_id, "f" * 32, "")
