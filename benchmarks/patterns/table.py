"""The figures as a page shows them: a table, and a sentence about where they come from, between two markers."""

from pathlib import Path

from benchmarks import page
from benchmarks.patterns.measurement import Summary
from benchmarks.patterns.result import Result

BEGIN, END = "<!-- figures: written by make bench-patterns -->", "<!-- end of the figures -->"

_HEAD = (
    "mode",
    "answer p50",
    "answer p99",
    "emails a second",
    "last email after",
    "runners with their email",
    "tries a mail",
    "mailed twice",
)


def table(result: Result) -> str:
    """The table and its origin, as Markdown."""
    rows = [_HEAD, ("---",) * len(_HEAD), *(_row(each) for each in result.summaries())]
    return "\n".join([*("| " + " | ".join(row) + " |" for row in rows), "", origin(result)])


def origin(result: Result) -> str:
    """How the figures came to be."""
    plan, on, manners = result.plan, result.machine, result.plan.manners
    rounds = "1 round" if plan.rounds == 1 else f"{plan.rounds} rounds"
    taking, refusing = f"{manners.seconds_a_mail * 1000:.0f} ms a mail", f"{manners.share_refused:.0%} with 451"
    return (
        f"Measured on {result.date} in {result.seconds:.0f} s with `{result.command}`: {rounds} of {plan.runners}"
        f" runners in each mode, {plan.clients} at a time; a mail server that takes {taking} and answers {refusing}"
        f" (seed {manners.seed}); {on['processor']}, {on['memory']}, {on['system']}, Python {on['python']},"
        f" grpcio {on['grpcio']}, SQLite {on['sqlite']}; load average before it {on['load']}. Times and rates are"
        " medians of the rounds, counts are sums."
    )


def rewrite(path: Path, result: Result) -> None:
    """Put the figures of a run into a page; raises ValueError when it has no place for them."""
    page.rewrite(path, BEGIN, END, table(result))


def _row(each: Summary) -> tuple[str, ...]:
    undecided = f" ({each.undecided} undecided)" if each.undecided else ""
    return (
        each.mode,
        page.milliseconds(each.answer_p50),
        page.milliseconds(each.answer_p99),
        f"{each.emails_a_second:.0f}",
        f"{each.last_email:.1f} s",
        f"{each.with_email} of {each.runners}{undecided}",
        f"{each.tries / each.runners:.2f}",
        str(each.twice),
    )
