"""What is made of what was seen: the figures of one contestant in one round, over all rounds, and beside another's."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """One contestant in one round. Rates are messages a second, times are seconds; None: not measured of this one."""

    contestant: str
    number: int
    send: float
    consume: float
    """Received and acknowledged, each on its own."""
    end_to_end: float
    """From the first send to the last acknowledgement, both under way at the same time."""
    singles: float
    """Sent one by one, by several at a time."""
    latency_p50: float | None = None
    latency_p99: float | None = None


FIGURES = ("send", "consume", "end_to_end", "singles", "latency_p50", "latency_p99")


@dataclass(frozen=True)
class Summary:
    """One contestant over all rounds: medians."""

    contestant: str
    rounds: int
    send: float
    consume: float
    end_to_end: float
    singles: float
    latency_p50: float | None = None
    latency_p99: float | None = None


@dataclass(frozen=True)
class Ratio:
    """A figure over another, within each round: the median, and how far the rounds differ."""

    median: float
    least: float
    most: float


def summaries(measurements: Sequence[Measurement]) -> list[Summary]:
    """A line for each contestant, in the order in which they first came."""
    names = dict.fromkeys(each.contestant for each in measurements)
    return [_summary([each for each in measurements if each.contestant == name]) for name in names]


def ratio(measurements: Sequence[Measurement], over: tuple[str, str], under: tuple[str, str]) -> Ratio | None:
    """One contestant's figure over another's, each of the same round; None: no round has both."""
    above, below = (
        {each.number: each for each in measurements if each.contestant == name} for name in (over[0], under[0])
    )
    pairs = [(getattr(above[number], over[1]), getattr(below[number], under[1])) for number in above if number in below]
    found = [one / other for one, other in pairs if one is not None and other]
    return Ratio(median(found), min(found), max(found)) if found else None


def _summary(measurements: Sequence[Measurement]) -> Summary:
    figures = {name: [getattr(each, name) for each in measurements] for name in FIGURES}
    medians: dict[str, Any] = {name: None if None in values else median(values) for name, values in figures.items()}
    return Summary(measurements[0].contestant, len(measurements), **medians)
