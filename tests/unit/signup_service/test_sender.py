"""Confirmations sent directly, with the mail server played and the clock turned by hand."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from mesh.clock import SECOND
from mesh.database import Database, sqlite_url
from mesh.errors import BatonError, ResourceExhausted, Unavailable
from mesh.store_thread import StoreThread
from mesh.task_set import TaskSet
from signup_service.mailer import Answer
from signup_service.outcome import FAILED, PENDING, SENT, WITHDRAWN, Outcome
from signup_service.registration import Cause, Mode, Registration
from signup_service.sender import Sender
from signup_service.storage import schema
from signup_service.storage.sql import SqlRegistrationStore
from signup_service.storage.threaded import ThreadedStore
from tests.support.fake_clock import FakeClock
from tests.unit.signup_service.example import registration
from tests.unit.signup_service.fake_entry import entry

BUSY = Outcome(PENDING, error="SMTP_451: busy")


class FakeMailer:
    """Answers as it was told, and says at each try how long it may take."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.tries: asyncio.Queue[float] = asyncio.Queue()

    async def send(self, registration: Registration, timeout: float) -> Answer:
        self.tries.put_nowait(timeout)
        return self.answers.pop(0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[ThreadedStore]:
    database = Database(sqlite_url(tmp_path / "signup.db"), schema.SCHEMA)
    thread = StoreThread("registrations")
    yield ThreadedStore(SqlRegistrationStore(database.engine, entry), thread, clock, lambda changed: None)
    thread.close()
    database.close()


async def stored(store: ThreadedStore, mode: Mode) -> Registration:
    return await store.register(registration(mode=mode), None)


@pytest.mark.parametrize("mode", [Mode.SEQUENTIAL, Mode.BACKGROUND])
async def test_a_sent_confirmation_is_noted_with_its_email(mode: Mode, store: ThreadedStore, clock: FakeClock) -> None:
    mailer = FakeMailer(Answer(Outcome(SENT, attempts=2, email_id="e1")))

    settled = await Sender(mailer, store, clock, TaskSet()).begin(await stored(store, mode))

    assert (settled.confirmation.state, settled.confirmation.attempts) == (SENT, 2)
    assert settled.confirmation.email_id == "e1"
    assert settled == await store.find(settled.registration_id)


async def test_sequential_gives_up_after_one_try(store: ThreadedStore, clock: FakeClock) -> None:
    mailer = FakeMailer(Answer(BUSY, timedelta(seconds=1)))

    settled = await Sender(mailer, store, clock, TaskSet()).begin(await stored(store, Mode.SEQUENTIAL))

    assert (settled.confirmation.state, settled.confirmation.last_error) == (FAILED, "SMTP_451: busy")


async def test_background_waits_as_long_as_it_is_told_and_tries_again(store: ThreadedStore, clock: FakeClock) -> None:
    mailer = FakeMailer(Answer(BUSY, timedelta(seconds=5)), Answer(Outcome(SENT)))
    sending = Sender(mailer, store, clock, TaskSet()).begin(await stored(store, Mode.BACKGROUND))

    assert await mailer.tries.get() == 30
    clock.turn(5 * SECOND - 1)
    assert mailer.tries.empty()
    clock.turn(1)
    assert await mailer.tries.get() == 25

    settled = await sending
    assert (settled.confirmation.state, settled.confirmation.attempts) == (SENT, 2)


async def test_background_gives_up_when_the_next_try_would_come_too_late(
    store: ThreadedStore, clock: FakeClock
) -> None:
    mailer = FakeMailer(Answer(BUSY, timedelta(seconds=30)))

    settled = await Sender(mailer, store, clock, TaskSet()).begin(await stored(store, Mode.BACKGROUND))

    assert (settled.confirmation.state, settled.confirmation.attempts) == (FAILED, 1)


async def test_background_does_not_repeat_what_was_refused_for_good(store: ThreadedStore, clock: FakeClock) -> None:
    mailer = FakeMailer(Answer(Outcome(FAILED, error="SMTP_550: no such user")))

    settled = await Sender(mailer, store, clock, TaskSet()).begin(await stored(store, Mode.BACKGROUND))

    assert (settled.confirmation.state, settled.confirmation.last_error) == (FAILED, "SMTP_550: no such user")


async def test_an_outcome_that_cannot_be_noted_leaves_the_registration_pending(
    store: ThreadedStore, clock: FakeClock
) -> None:
    never_stored = registration(mode=Mode.BACKGROUND)

    settled = await Sender(FakeMailer(Answer(Outcome(SENT))), store, clock, TaskSet()).begin(never_stored)

    assert settled.confirmation.state is PENDING


@pytest.mark.parametrize("answer", [Outcome(SENT), Outcome(FAILED, error="SMTP_550: no such user")])
async def test_an_outcome_is_noted_as_soon_as_the_storage_is_back(
    answer: Outcome, store: ThreadedStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    away: list[BatonError] = [Unavailable("STORAGE_UNAVAILABLE", "away"), ResourceExhausted("STORAGE_FULL", "full")]
    failing_to_note(store, away, monkeypatch)
    new = await stored(store, Mode.BACKGROUND)
    mailer = FakeMailer(Answer(answer))
    sending = Sender(mailer, store, clock, TaskSet()).begin(new)

    while not sending.done():
        clock.turn(SECOND)
        await asyncio.sleep(0)

    assert away == []
    assert (await store.find(new.registration_id)).confirmation.state is answer.state
    assert mailer.tries.qsize() == 1


async def test_a_try_that_cannot_be_noted_is_followed_by_the_next(
    store: ThreadedStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_to_note(store, [Unavailable("STORAGE_UNAVAILABLE", "away")], monkeypatch)
    mailer = FakeMailer(Answer(BUSY, timedelta(seconds=5)), Answer(Outcome(SENT)))
    sending = Sender(mailer, store, clock, TaskSet()).begin(await stored(store, Mode.BACKGROUND))

    while not sending.done():
        clock.turn(SECOND)
        await asyncio.sleep(0)

    settled = await sending
    assert (settled.confirmation.state, settled.confirmation.attempts) == (SENT, 2)


def failing_to_note(store: ThreadedStore, errors: list[BatonError], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the errors is the answer to one outcome; those after them are noted."""
    note = store.note_outcome

    async def note_or_fail(registration: Registration, outcome: Outcome) -> Registration:
        if errors:
            raise errors.pop(0)
        return await note(registration, outcome)

    monkeypatch.setattr(store, "note_outcome", note_or_fail)


async def test_a_send_is_under_way_until_it_is_settled(store: ThreadedStore, clock: FakeClock) -> None:
    sender = Sender(FakeMailer(Answer(Outcome(SENT))), store, clock, TaskSet())
    new = await stored(store, Mode.BACKGROUND)

    sending = sender.begin(new)

    assert sender.under_way(new.registration_id) is sending
    await sending
    assert sender.under_way(new.registration_id) is None


async def test_a_send_that_is_unwanted_ends_between_two_tries(store: ThreadedStore, clock: FakeClock) -> None:
    mailer = FakeMailer(Answer(BUSY, timedelta(seconds=5)))
    sender = Sender(mailer, store, clock, TaskSet())
    new = await stored(store, Mode.BACKGROUND)
    sending = sender.begin(new)
    await mailer.tries.get()

    assert sender.stop(new.registration_id) is sending
    await store.cancel(new.registration_id, Cause.REQUESTED, "")

    settled = await sending
    assert (settled.confirmation.state, settled.confirmation.attempts) == (WITHDRAWN, 1)
    assert mailer.tries.empty()


async def test_a_send_that_goes_through_after_it_was_unwanted_is_sent(store: ThreadedStore, clock: FakeClock) -> None:
    mailer = FakeMailer(Answer(Outcome(SENT)))
    sender = Sender(mailer, store, clock, TaskSet())
    new = await stored(store, Mode.BACKGROUND)
    sending = sender.begin(new)

    sender.stop(new.registration_id)
    await store.cancel(new.registration_id, Cause.REQUESTED, "")

    assert (await sending).confirmation.state is SENT


async def test_nothing_is_stopped_where_nothing_is_sent(store: ThreadedStore, clock: FakeClock) -> None:
    assert Sender(FakeMailer(), store, clock, TaskSet()).stop("nobody") is None
