import asyncio

import pytest

from mesh.clock import SECOND
from queue_service.ready_signal import ReadySignal, Waiter
from tests.support.fake_clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def woken(waiter: Waiter) -> bool:
    try:
        async with asyncio.timeout(0):
            await waiter.wait(None)
    except TimeoutError:
        return False
    return True


async def test_a_ready_message_wakes_one_waiter_the_longest_waiting(clock: FakeClock) -> None:
    signal = ReadySignal(clock)
    with signal.waiter() as first, signal.waiter() as second:
        signal.ready(clock.now())

        assert (first.woken, second.woken) == (True, False)
        await first.wait(None)


async def test_several_messages_wake_as_many_waiters(clock: FakeClock) -> None:
    signal = ReadySignal(clock)
    with signal.waiter() as first, signal.waiter() as second:
        signal.ready(clock.now(), 5)

        assert (first.woken, second.woken) == (True, True)
        await first.wait(None)
        await second.wait(None)


async def test_a_delayed_message_wakes_at_its_time_and_not_before(clock: FakeClock) -> None:
    signal = ReadySignal(clock)
    with signal.waiter() as waiter:
        signal.ready(clock.now() + 10 * SECOND)
        clock.turn(10 * SECOND - 1)
        early = waiter.woken
        clock.turn(1)

        assert (early, waiter.woken) == (False, True)
        await waiter.wait(None)


async def test_the_earlier_of_two_times_counts(clock: FakeClock) -> None:
    signal = ReadySignal(clock)
    with signal.waiter() as waiter:
        signal.ready(clock.now() + 10 * SECOND)
        signal.ready(clock.now() + 5 * SECOND)
        signal.ready(clock.now() + 7 * SECOND)
        clock.turn(5 * SECOND)

        assert waiter.woken
        await waiter.wait(None)
    signal.close()


async def test_patience_ends_after_its_time_though_the_clock_was_set_back(clock: FakeClock) -> None:
    signal = ReadySignal(clock)
    with signal.waiter() as waiter, waiter.patience(SECOND) as over:
        clock.step(-3_600 * SECOND)
        clock.turn(SECOND - 1)
        early = over.is_set()
        clock.turn(1)

        assert (early, over.is_set(), waiter.woken) == (False, True, True)


async def test_a_pause_ends_after_its_time_though_the_clock_was_set_back(clock: FakeClock) -> None:
    signal = ReadySignal(clock)
    with signal.waiter() as waiter:
        signal.ready_after(SECOND)
        clock.step(-3_600 * SECOND)
        clock.turn(SECOND)

        assert waiter.woken


async def test_a_wake_up_that_is_left_unused_goes_to_the_next(clock: FakeClock) -> None:
    signal = ReadySignal(clock)
    with signal.waiter() as second_in_line:
        with signal.waiter() as leaves:
            signal.ready(clock.now(), 2)
            await second_in_line.wait(None)

            assert leaves.woken

        assert second_in_line.woken
        await second_in_line.wait(None)


async def test_a_waiter_that_is_cancelled_passes_its_wake_up_on(clock: FakeClock) -> None:
    signal = ReadySignal(clock)

    async def wait() -> None:
        with signal.waiter() as waiter:
            await waiter.wait(None)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    with signal.waiter() as next_in_line:
        signal.ready(clock.now())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert next_in_line.woken
        await next_in_line.wait(None)


async def test_waiting_ends_at_its_time_too(clock: FakeClock) -> None:
    signal = ReadySignal(clock)
    with signal.waiter() as waiter:
        waiting = asyncio.create_task(waiter.wait(clock.now() + SECOND))
        await asyncio.sleep(0)

        clock.turn(SECOND)

        await waiting


async def test_a_waiter_without_room_takes_no_wake_up_from_the_others(clock: FakeClock) -> None:
    signal = ReadySignal(clock)
    with signal.waiter() as full, signal.waiter() as hungry:
        aside = asyncio.create_task(full.wait(None, aside=True))
        await asyncio.sleep(0)

        signal.ready(clock.now())

        assert (full.woken, hungry.woken) == (False, True)
        await hungry.wait(None)
        full.wake()
        await aside


async def test_a_wake_up_that_finds_no_room_any_more_goes_to_the_next(clock: FakeClock) -> None:
    signal = ReadySignal(clock)
    with signal.waiter() as full, signal.waiter() as hungry:
        signal.ready(clock.now())

        await full.wait(None, aside=True)

        assert hungry.woken
        await hungry.wait(None)


async def test_everybody_looks_when_the_queue_changes_those_without_room_too(clock: FakeClock) -> None:
    signal = ReadySignal(clock)
    with signal.waiter() as full:
        aside = asyncio.create_task(full.wait(None, aside=True))
        await asyncio.sleep(0)

        signal.close()

        await aside
        assert full.closed
