"""How much is measured, and in which order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """The size of a run.

    Args:
        rounds: each visits every contestant once; ratios are taken within a round.
        messages: of each phase that is about a rate.
        size: bytes of a body.
        batch: messages of a call.
        singles: messages that are sent one by one.
        waiting: of those at a time.
        steady: messages that are sent at a steady rate, for the latency.
        rate: of those a second.
        warm_up: messages that are sent and consumed before, and do not count.
    """

    rounds: int
    messages: int
    size: int
    batch: int
    singles: int
    waiting: int
    steady: int
    rate: int
    warm_up: int


#: Workload W.
FULL = Plan(
    rounds=5, messages=20_000, size=200, batch=100, singles=4_000, waiting=32, steady=1_000, rate=200, warm_up=1_000
)
QUICK = replace(FULL, rounds=1, messages=500, singles=100, steady=40, warm_up=100)


def visits(rounds: int, contestants: Sequence[T]) -> Iterator[tuple[int, T]]:
    """Round and contestant, in the order in which they are measured: none always comes first."""
    for number in range(1, rounds + 1):
        shift = (number - 1) % len(contestants)
        for contestant in [*contestants[shift:], *contestants[:shift]]:
            yield number, contestant
