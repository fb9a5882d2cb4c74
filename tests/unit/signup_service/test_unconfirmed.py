"""Places whose runner no confirmation reaches: the setting, and the loop that takes them back."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from mesh.clock import SECOND
from mesh.database import Database, sqlite_url
from mesh.errors import Unavailable
from mesh.store_thread import StoreThread
from signup_service.outcome import FAILED, SENT, Outcome
from signup_service.registration import Cause, Registration, State
from signup_service.storage import schema
from signup_service.storage.base import Unconfirmed
from signup_service.storage.sql import SqlRegistrationStore
from signup_service.storage.threaded import ThreadedStore
from signup_service.unconfirmed import BACKOFF, UnconfirmedReaper, overdue, parse_unconfirmed
from tests.support.fake_clock import START
from tests.support.watched_clock import WatchedClock
from tests.unit.signup_service.example import registration
from tests.unit.signup_service.fake_entry import entry

WAIT = timedelta(hours=72)
HOUR = 3_600 * SECOND


@pytest.mark.parametrize(
    ("text", "wait"),
    [("keep", None), ("cancel-after 72h", WAIT), ("cancel-after 1s", timedelta(seconds=1)), ("cancel-after 3d", WAIT)],
)
def test_the_setting_in_words(text: str, wait: timedelta | None) -> None:
    assert parse_unconfirmed(text) == wait


@pytest.mark.parametrize(
    "text",
    [
        "cancel",
        "cancel-after",
        "cancel-after 72",
        "cancel-after -1h",
        "cancel-after 0s",
        "KEEP",
        "cancel-after 9999999999d",
    ],
)
def test_another_setting_says_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"must (be keep|wait)"):
        parse_unconfirmed(text)


def test_only_those_whose_time_is_over_are_overdue() -> None:
    waiting = [Unconfirmed("a", 1), Unconfirmed("b", 2), Unconfirmed("c", 3)]

    assert overdue(waiting, 10, 12) == waiting[:2]


@pytest.fixture
def clock() -> WatchedClock:
    return WatchedClock()


class Office:
    """Registrations, and a reaper that looks after them."""

    def __init__(self, database: Database, clock: WatchedClock) -> None:
        self.thread = StoreThread("registrations")
        store = SqlRegistrationStore(database.engine, entry)
        self.store = ThreadedStore(store, self.thread, clock, lambda changed: None)
        self.failures: list[Exception] = []
        self.reaper = UnconfirmedReaper(self.store, self.cancel, clock, WAIT)

    async def cancel(self, registration_id: str, cause: Cause, reason: str) -> Registration:
        if self.failures:
            raise self.failures.pop(0)
        return await self.store.cancel(registration_id, cause, reason)

    async def states(self) -> list[State]:
        return [each.state for each in await self.store.page("", 10, None)]


@pytest.fixture
async def office(clock: WatchedClock, tmp_path: Path) -> AsyncIterator[Office]:
    database = Database(sqlite_url(tmp_path / "signup.db"), schema.SCHEMA)
    office = Office(database, clock)
    yield office
    await office.reaper.stop()
    office.thread.close()
    database.close()


async def test_a_place_that_nobody_could_be_told_of_is_taken_back_in_time_and_not_before(
    office: Office, clock: WatchedClock
) -> None:
    failed, pending, sent = (registration(number) for number in range(3))
    for new in (failed, pending, sent):
        await office.store.register(new, None)
    await office.store.note_outcome(failed, Outcome(FAILED))
    await office.store.note_outcome(sent, Outcome(SENT))

    office.reaper.start()
    assert await clock.waited_for() == 72 * HOUR
    clock.turn(72 * HOUR - 1)
    assert await office.states() == [State.REGISTERED] * 3
    clock.turn(1)
    await clock.waited_for()

    assert await office.states() == [State.CANCELLED, State.CANCELLED, State.REGISTERED]
    cancellation = (await office.store.find(failed.registration_id)).cancellation
    assert cancellation is not None
    assert cancellation.cause is Cause.UNCONFIRMED


async def test_one_that_was_sent_anew_gets_the_time_again(office: Office, clock: WatchedClock) -> None:
    new = registration()
    await office.store.register(new, None)
    clock.turn(50 * HOUR)
    await office.store.resend(new.registration_id, None, "f" * 32)

    office.reaper.start()

    assert await clock.waited_for() == 72 * HOUR


async def test_those_whose_time_ran_out_while_nobody_looked_go_at_the_start(
    office: Office, clock: WatchedClock
) -> None:
    await office.store.register(registration(now=START - 100 * HOUR), None)

    office.reaper.start()
    await clock.waited_for()

    assert await office.states() == [State.CANCELLED]


async def test_a_storage_that_fails_is_asked_again(office: Office, clock: WatchedClock) -> None:
    await office.store.register(registration(now=START - 100 * HOUR), None)
    office.failures = [Unavailable("STORAGE_UNAVAILABLE", "the storage cannot be used")]

    office.reaper.start()
    assert await clock.waited_for() == BACKOFF // timedelta(microseconds=1)
    assert await office.states() == [State.REGISTERED]
    clock.turn(BACKOFF // timedelta(microseconds=1))
    await clock.waited_for()

    assert await office.states() == [State.CANCELLED]
