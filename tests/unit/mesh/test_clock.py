"""The system's clock and the waiting for it."""

import asyncio
import time
from datetime import timedelta

import pytest

from mesh.clock import LONGEST_LOOK, MILLISECOND, SECOND, Clock, SystemClock, microseconds, sleep, sleep_until
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


async def test_a_wall_clock_set_forward_is_noticed_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, fired = SystemClock(), asyncio.Event()
    real = time.time_ns
    clock.call_at(clock.now() + 3_600 * SECOND, fired.set)
    begun = time.monotonic()

    monkeypatch.setattr(time, "time_ns", lambda: real() + 7_200 * SECOND * 1_000)
    await asyncio.wait_for(fired.wait(), 10)

    assert time.monotonic() - begun >= LONGEST_LOOK / SECOND / 2


@pytest.mark.parametrize("step", [-3_600 * SECOND, 3_600 * SECOND])
async def test_what_waits_for_a_while_waits_for_that_long_wherever_the_clock_is_set(
    monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    clock, real, begun = SystemClock(), time.time_ns, time.monotonic()

    sleeper = asyncio.create_task(sleep(clock, 50 * MILLISECOND))
    await asyncio.sleep(0)
    monkeypatch.setattr(time, "time_ns", lambda: real() + step * 1_000)
    await asyncio.wait_for(sleeper, 10)

    assert time.monotonic() - begun >= 0.05


def test_the_fake_clock_that_is_set_fires_what_waits_for_an_instant_and_nothing_else() -> None:
    clock, fired = FakeClock(), []
    clock.call_at(clock.now() + 2 * SECOND, lambda: fired.append("instant"))
    clock.call_after(SECOND, lambda: fired.append("while"))

    clock.step(2 * SECOND)
    at_the_step = list(fired)
    clock.step(-10 * SECOND)
    clock.turn(SECOND)

    assert at_the_step == ["instant"]
    assert fired == ["instant", "while"]


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
