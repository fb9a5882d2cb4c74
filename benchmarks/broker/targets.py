"""What the broker is to reach, as ratios: figures of one machine say little about another, ratios far more."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.broker.measurement import Measurement, Ratio, ratio

RATES = ("send", "consume", "end_to_end")


@dataclass(frozen=True)
class Target:
    """One figure over another.

    Args:
        over: contestant and figure.
        under: likewise.
        bar: what the ratio has to reach.
        goal: what it should.
        at_most: it is the better the smaller it is.
    """

    over: tuple[str, str]
    under: tuple[str, str]
    bar: float
    goal: float | None = None
    at_most: bool = False

    def verdict(self, found: Ratio) -> str:
        """``goal``, ``bar`` or ``below``."""
        if self.goal is not None and self._reached(found.median, self.goal):
            return "goal"
        return "bar" if self._reached(found.median, self.bar) else "below"

    def _reached(self, value: float, wanted: float) -> bool:
        return value <= wanted if self.at_most else value >= wanted


def _rates(
    peer: str, bars: Sequence[float], goals: Sequence[float | None] = (None, None, None), ours: str = "baton"
) -> list[Target]:
    return [Target((ours, rate), (peer, rate), bar, goal) for rate, bar, goal in zip(RATES, bars, goals, strict=True)]


TARGETS = [
    *_rates("rabbitmq", (3, 2.5, 2.5), (5, 4, 4)),
    *_rates("nats", (5, 4, 5), (10, 8, 10)),
    *_rates("nats-default", (1, 1.3, 1.2)),
    *_rates("redis", (0.7, 0.35, 0.4), (1, 0.6, 0.7)),
    *_rates("postgresql", (0.4, 0.4, 0.4), (0.8, 0.65, 0.7)),
    *_rates("procrastinate", (4, 30, 30)),
    Target(("baton", "send"), ("no-op", "send"), 0.3),
    *_rates("redis", (1, 1, 1), ours="baton-client"),
    *_rates("postgresql", (1, 1, 1), ours="baton-client"),
    Target(("baton-client", "singles"), ("baton", "singles"), 5),
    Target(("baton", "latency_p50"), ("rabbitmq", "latency_p50"), 2, at_most=True),
    Target(("baton", "latency_p99"), ("baton", "latency_p50"), 4, at_most=True),
]


def found(measurements: Sequence[Measurement]) -> list[tuple[Target, Ratio]]:
    """The targets that this run can say something about, and what it says."""
    ratios = [(target, ratio(measurements, target.over, target.under)) for target in TARGETS]
    return [(target, each) for target, each in ratios if each is not None]
