import asyncio
from datetime import timedelta

import pytest

from email_service.failure import HeldBackError
from email_service.send_rate import Pace, Schedule, SendRate, left, pace_of, promise, turn
from mesh.clock import MILLISECOND, SECOND
from tests.support.watched_clock import WatchedClock

NOW = 1_000 * SECOND
TEN = pace_of(10)


def turns(pace: Pace, count: int, due: int = 0) -> list[int]:
    """When letters leave that all come at once, from now on."""
    schedule, found = Schedule(due), []
    for _ in range(count):
        at = turn(pace, schedule, NOW)
        schedule = left(pace, schedule, at)
        found.append(at - NOW)
    return found


def test_a_seconds_worth_leaves_at_once_and_the_rest_at_the_pace() -> None:
    assert turns(TEN, 13) == [0] * 10 + [100 * MILLISECOND, 200 * MILLISECOND, 300 * MILLISECOND]


def test_a_rate_below_one_lets_one_leave_at_a_time() -> None:
    assert turns(pace_of(0.5), 3) == [0, 2 * SECOND, 4 * SECOND]


def test_nothing_is_saved_up_beyond_a_seconds_worth() -> None:
    assert turns(TEN, 11, due=NOW - 3_600 * SECOND) == turns(TEN, 11, due=NOW)


@pytest.mark.parametrize("rate", [0.01, 0.5, 1, 3, 10, 99.9])
def test_no_second_sees_more_than_the_rate_and_a_seconds_worth(rate: float) -> None:
    pace, schedule, now = pace_of(rate), Schedule(), NOW
    leaving: list[int] = []
    for number in range(500):
        if number % 250 == 50:  # a quiet time, then a crowd again
            now = max(now, leaving[-1]) + 3 * SECOND
        now += (number % 7) * pace.interval // 5_000
        at = turn(pace, schedule, now)
        schedule = left(pace, schedule, at)
        leaving.append(at)

    for first in range(len(leaving)):
        in_a_second = sum(leaving[first] <= at < leaving[first] + SECOND for at in leaving)
        assert in_a_second <= 2 * max(1, rate) + 1


def test_those_ahead_in_line_have_their_turns_first() -> None:
    assert turn(TEN, Schedule(), NOW, ahead=9) == NOW
    assert turn(TEN, Schedule(), NOW, ahead=15) == NOW + 600 * MILLISECOND


def test_those_sent_away_are_told_turns_one_after_the_other() -> None:
    schedule, told = Schedule(), []
    for _ in range(3):
        schedule = promise(TEN, schedule, NOW + 2 * SECOND, NOW)
        told.append(schedule.promised - NOW)

    assert told == [2 * SECOND, 2 * SECOND + 100 * MILLISECOND, 2 * SECOND + 200 * MILLISECOND]


def test_nobody_is_sent_away_for_longer_than_ten_minutes() -> None:
    schedule = promise(pace_of(0.01), Schedule(promised=NOW + 590 * SECOND), NOW + 2 * SECOND, NOW)

    assert schedule.promised == NOW + 600 * SECOND


async def test_a_letter_waits_for_a_turn_that_is_near_and_is_sent_away_from_one_that_is_not() -> None:
    clock = WatchedClock()
    rate = SendRate(1, clock)
    with rate.admitted("first"):
        await rate.turn("first")

    with rate.admitted("second"):
        waiting = asyncio.create_task(rate.turn("second"))
        assert await clock.waited_for() == SECOND
        with pytest.raises(HeldBackError) as caught, rate.admitted("third"):
            pass
        clock.turn(SECOND)
        await waiting

    assert caught.value.delay == timedelta(seconds=2)


async def test_a_letter_in_line_counts_until_it_leaves_or_gives_up() -> None:
    rate = SendRate(1, WatchedClock())

    with rate.admitted("first"), rate.admitted("second"), pytest.raises(HeldBackError), rate.admitted("third"):
        pass

    with rate.admitted("fourth"):
        await rate.turn("fourth")


async def test_a_clock_that_is_set_back_changes_nothing() -> None:
    clock = WatchedClock()
    rate = SendRate(1, clock)
    with rate.admitted("first"):
        await rate.turn("first")
    clock.turn(-3_600 * SECOND)

    with rate.admitted("second"):
        waiting = asyncio.create_task(rate.turn("second"))
        away = await clock.waited_for()
        clock.turn(away)
        await waiting

    assert away == SECOND


async def test_without_a_rate_nobody_waits() -> None:
    rate = SendRate(None, WatchedClock())

    for number in range(1_000):
        with rate.admitted(str(number)):
            await rate.turn(str(number))
