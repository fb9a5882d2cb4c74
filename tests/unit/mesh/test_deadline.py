"""Deadlines that travel inwards."""

import asyncio
import contextvars
from collections.abc import Callable

import pytest

from mesh import deadline


def apart(work: Callable[[], None]) -> None:
    """Run what notes a deadline where no other test sees it."""
    contextvars.Context().run(work)


def test_where_nothing_is_noted_a_call_keeps_its_own_timeout() -> None:
    def work() -> None:
        assert deadline.remaining() is None
        assert deadline.bounded(None) is None
        assert deadline.bounded(3.0) == 3.0

    apart(work)


def test_a_call_gets_what_is_left_less_the_way_back() -> None:
    def work() -> None:
        deadline.note(2.0)

        left = deadline.remaining()

        assert left is not None
        assert 1.5 < left <= 2.0 - deadline.MARGIN
        assert deadline.bounded(None) == pytest.approx(left, abs=0.1)

    apart(work)


def test_the_smaller_of_two_limits_wins() -> None:
    def work() -> None:
        deadline.note(2.0)

        assert deadline.bounded(1.0) == 1.0
        assert deadline.bounded(60.0) == pytest.approx(2.0, abs=0.2)

    apart(work)


def test_what_is_left_is_never_below_nothing() -> None:
    def work() -> None:
        deadline.note(-1.0)

        assert deadline.remaining() == 0.0
        assert deadline.bounded(5.0) == 0.0

    apart(work)


def test_a_call_without_a_deadline_lifts_an_earlier_one() -> None:
    def work() -> None:
        deadline.note(1.0)
        deadline.note(None)

        assert deadline.remaining() is None

    apart(work)


def test_detached_work_is_not_bound_and_the_call_is_again_afterwards() -> None:
    def work() -> None:
        deadline.note(1.0)

        with deadline.detached():
            assert deadline.remaining() is None

        assert deadline.remaining() is not None

    apart(work)


async def test_a_deadline_is_inherited_by_tasks_and_seen_by_no_neighbour() -> None:
    async def inner() -> float | None:
        return deadline.remaining()

    async def call(seconds: float) -> float | None:
        deadline.note(seconds)
        return await asyncio.create_task(inner())

    short, long = await asyncio.gather(call(1.0), call(9.0))

    assert short is not None
    assert long is not None
    assert short <= 1.0
    assert long > 8.0
    assert deadline.remaining() is None
