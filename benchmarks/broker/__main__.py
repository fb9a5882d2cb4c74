"""Measure the broker beside its peers and its limits; write the figures, the tables in the page, and the picture."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.broker import plot, table
from benchmarks.broker.contestant import CONTESTANTS, OWN, Contestant
from benchmarks.broker.disk import flush
from benchmarks.broker.measurement import Measurement
from benchmarks.broker.plan import FULL, QUICK, Plan, visits
from benchmarks.broker.result import Result
from benchmarks.broker.versions import versions
from benchmarks.broker.visit import Lost, visit
from benchmarks.machine import command, machine, today
from stage import termination
from stage.own_mesh import temporary_folder

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.broker", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a small run without peers, to see that it runs; its figures say little"
    )
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--messages", type=int, help="of each phase")
    names = [contestant.name for contestant in CONTESTANTS]
    parser.add_argument(
        "--peers", nargs="+", choices=names, help="who is measured, besides what they are compared with"
    )
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md", help="page to be rewritten")
    parser.add_argument(
        "--json", type=Path, default=ROOT / "benchmarks" / "results" / "broker.json", help="all figures"
    )
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    plan = replace(plan, rounds=options.rounds or plan.rounds, messages=options.messages or plan.messages)
    wanted = {*OWN, *(options.peers or (() if options.quick else names))}
    return termination.run(run(plan, [each for each in CONTESTANTS if each.name in wanted], options.page, options.json))


async def run(plan: Plan, wanted: Sequence[Contestant], page: Path, figures: Path) -> int:
    """Measure, and write everything; 0 when our broker lost nothing and was measured in every round, else 1."""
    left_out = [sentence for contestant in wanted if (sentence := contestant.missing())]
    present = [contestant for contestant in wanted if not contestant.missing()]
    for sentence in left_out:
        _say(sentence)
    on, begun = machine() | versions([contestant.name for contestant in present]) | _flushes(), time.monotonic()
    found, failed = await _measure(plan, present)
    on["load after"] = f"{os.getloadavg()[0]:.1f}"
    seconds = round(time.monotonic() - begun, 1)
    result = Result(today(), command("benchmarks.broker"), on, seconds, plan, tuple(found), (*left_out, *failed))
    result.write(figures)
    table.rewrite(page, result)
    plot.write(page.with_suffix(".svg"), result)
    print(table.tables(result))
    return int(sum(each.contestant in OWN for each in found) < plan.rounds * len(OWN))


async def _measure(plan: Plan, contestants: Sequence[Contestant]) -> tuple[list[Measurement], list[str]]:
    """What was measured, and a sentence for each visit that came to nothing; says how far it is."""
    found, failed = [], []
    for number, contestant in visits(plan.rounds, contestants):
        begun = time.monotonic()
        try:
            with temporary_folder() as folder:
                found.append(await visit(contestant, number, plan, Path(folder)))
        except (RuntimeError, TimeoutError, Lost) as error:
            failed.append(f"Round {number} lacks {contestant.title}: {str(error) or 'it took too long'}.")
            _say(failed[-1])
        seconds = time.monotonic() - begun
        _say(f"round {number} of {plan.rounds}  {contestant.title:<36}  {seconds:5.1f} s")
    return found, failed


def _flushes() -> dict[str, str]:
    with temporary_folder() as folder:
        p50, p99 = flush(Path(folder))
    return {"flush": f"{p50 * 1000:.2f} ms (p99 {p99 * 1000:.1f} ms)"}


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
