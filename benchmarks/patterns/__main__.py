"""Measure the three patterns; write the figures, the table in the page, and the picture."""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.machine import command, machine, today
from benchmarks.patterns import plot, table
from benchmarks.patterns.measuring import measure
from benchmarks.patterns.plan import FULL, QUICK, Plan
from benchmarks.patterns.result import Result
from stage import termination

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.patterns", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to see that it runs; its figures say little")
    parser.add_argument(
        "--page", type=Path, default=ROOT / "docs" / "patterns.md", help="page whose figures are rewritten"
    )
    parser.add_argument(
        "--json", type=Path, default=ROOT / "benchmarks" / "results" / "patterns.json", help="all figures"
    )
    options = parser.parse_args()
    return termination.run(run(QUICK if options.quick else FULL, options.page, options.json))


async def run(plan: Plan, page: Path, figures: Path) -> int:
    """Measure, and write everything; 0 when every confirmation was decided and nobody was mailed twice, else 1."""
    on, begun = machine(), time.monotonic()
    measurements = tuple(await measure(plan))
    seconds = round(time.monotonic() - begun, 1)
    result = Result(today(), command("benchmarks.patterns"), on, seconds, plan, measurements)
    result.write(figures)
    table.rewrite(page, result)
    plot.write(page.with_suffix(".svg"), result)
    print(table.table(result))
    return int(any(each.undecided or each.twice for each in measurements))


if __name__ == "__main__":
    sys.exit(main())
