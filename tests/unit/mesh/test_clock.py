"""The system's clock and the waiting for it."""

import asyncio
import time
from datetime import timedelta

import pytest

from mesh.clock import MILLISECOND, SECOND, Clock, SystemClock, microseconds, sleep_until
from tests.support.fake_clock import FakeClock


def test_both_clocks_are_clocks() -> None:
    assert isinstance(SystemClock(), Clock)
    assert isinstance(FakeClock(), Clock)


async def test_a_callback_never_comes_early() -> None:
    clock, early, fired = SystemClock(), [], asyncio.Event()

    def callback(when: int) -> None:
        early.append(when - clock.now())
        if len(early) == 50:
            fired.set()

    for step in range(50):
        when = clock.now() + step * MILLISECOND // 2
        clock.call_at(when, lambda when=when: callback(when))  # type: ignore[misc]
    await fired.wait()

    assert max(early) <= 0


async def test_a_callback_for_the_past_comes_soon_but_not_at_once() -> None:
    clock, fired = SystemClock(), asyncio.Event()

    clock.call_at(clock.now() - SECOND, fired.set)

    assert not fired.is_set()
    await asyncio.wait_for(fired.wait(), 1)


async def test_a_wall_clock_set_back_makes_the_callback_wait_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, fired, back = SystemClock(), asyncio.Event(), 20 * MILLISECOND
    real = time.time_ns
    when = clock.now() + MILLISECOND

    clock.call_at(when, fired.set)
    monkeypatch.setattr(time, "time_ns", lambda: real() - back * 1_000)
    await fired.wait()

    assert clock.now() >= when


async def test_a_cancelled_callback_never_comes() -> None:
    clock, fired, later = SystemClock(), asyncio.Event(), asyncio.Event()

    timer = clock.call_at(clock.now() + MILLISECOND, fired.set)
    clock.call_at(clock.now() + 2 * MILLISECOND, later.set)
    timer.cancel()
    await later.wait()

    assert not fired.is_set()


async def test_sleep_until_ends_at_its_instant() -> None:
    clock = FakeClock()
    until = clock.now() + SECOND

    sleeper = asyncio.create_task(sleep_until(clock, until))
    await asyncio.sleep(0)
    clock.turn(SECOND - 1)
    await asyncio.sleep(0)
    assert not sleeper.done()

    clock.turn(1)
    await sleeper


async def test_a_sleep_that_is_given_up_leaves_no_timer() -> None:
    clock = FakeClock()
    sleeper = asyncio.create_task(sleep_until(clock, clock.now() + SECOND))
    await asyncio.sleep(0)

    sleeper.cancel()
    await asyncio.gather(sleeper, return_exceptions=True)

    assert [timer for *_, timer in clock._timers if timer.callback is not None] == []


def test_a_duration_of_a_setting_is_in_the_unit_of_instants() -> None:
    assert microseconds(timedelta(seconds=1.5)) == 1_500_000
