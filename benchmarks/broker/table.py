"""The figures as a page shows them: two tables, and a sentence about where they come from, between two markers."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import page
from benchmarks.broker.contestant import CONTESTANTS
from benchmarks.broker.measurement import Ratio, Summary
from benchmarks.broker.result import Result
from benchmarks.broker.targets import Target, found

BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of the figures -->"

TITLES = {contestant.name: contestant.title for contestant in CONTESTANTS}
WORDS = {
    "send": "send",
    "consume": "consume + ack",
    "end_to_end": "end to end",
    "singles": "single sends",
    "latency_p50": "latency p50",
    "latency_p99": "latency p99",
}
_VERDICTS = {"goal": "goal", "bar": "yes", "below": "**no**"}


def tables(result: Result) -> str:
    """Everything between the markers, as Markdown."""
    parts = [absolute(result.summaries()), ratios(result), origin(result)]
    return "\n\n".join(part for part in parts if part)


def absolute(summaries: Sequence[Summary]) -> str:
    """A line for each contestant."""
    on_disk = {contestant.name: contestant.on_disk for contestant in CONTESTANTS}
    head = ("messages a second", *WORDS.values(), "on disk when a send is confirmed")
    return _table(head, ([TITLES[each.contestant], *_figures(each), on_disk[each.contestant]] for each in summaries))


def ratios(result: Result) -> str:
    """A line for each target."""
    head = ("ours", "over", "ratio", "rounds", "bar", "goal", "reached")
    lines = [_target(target, ratio) for target, ratio in found(result.measurements)]
    return _table(head, lines) if lines else ""


def origin(result: Result) -> str:
    """How the figures came to be."""
    plan, on = result.plan, result.machine
    rounds = "1 round" if plan.rounds == 1 else f"{plan.rounds} rounds"
    peers = ", ".join(f"{name} {on[name]}" for name in ("NATS", "RabbitMQ", "Redis", "PostgreSQL") if name in on)
    return (
        f"Measured on {result.date} in {result.seconds:.0f} s with `{result.command}`: {rounds} of {plan.messages:,}"
        f" messages of {plan.size} bytes in batches of {plan.batch} (procrastinate: a twentieth of them); single sends"
        f" {plan.waiting} at a time; latency at {plan.rate} messages a second; {on['processor']}, {on['memory']},"
        f" {on['system']}, a flush of 4 KiB takes {on['flush']}, Python {on['python']}, grpcio {on['grpcio']},"
        f" SQLite {on['sqlite']}{', ' if peers else ''}{peers}; load average before it {on['load']}, after it"
        f" {on['load after']}. Figures are medians of the rounds; a ratio is taken within each round first."
    ) + "".join(f"\n{sentence}" for sentence in result.left_out)


def rewrite(path: Path, result: Result) -> None:
    """Put the figures of a run into a page; raises ValueError when it has no place for them."""
    page.rewrite(path, BEGIN, END, tables(result))


def _figures(each: Summary) -> list[str]:
    rates = [f"{rate:,.0f}" for rate in (each.send, each.consume, each.end_to_end, each.singles)]
    return [*rates, *(_milliseconds(value) for value in (each.latency_p50, each.latency_p99))]


def _target(target: Target, ratio: Ratio) -> list[str]:
    (ours, figure), (other, under) = target.over, target.under
    over = TITLES[other] if under == figure and ours != other else f"{TITLES[other]}: {WORDS[under]}"
    goal = "" if target.goal is None else f"{target.goal:g}"
    return [
        f"{TITLES[ours]}: {WORDS[figure]}",
        over,
        f"{ratio.median:.2f}",
        f"{ratio.least:.2f} to {ratio.most:.2f}",
        f"{'at most ' if target.at_most else ''}{target.bar:g}",
        goal,
        _VERDICTS[target.verdict(ratio)],
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ("---",) * len(head), *rows])


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else page.milliseconds(seconds)
