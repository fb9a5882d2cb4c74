"""The figures as a page shows them: a table, and a sentence about where they come from, between two markers."""

from pathlib import Path

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


def rewrite(page: Path, result: Result) -> None:
    """Put the figures of a run into a page; raises ValueError when it has no place for them."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the line {BEGIN if not begin else END}")
    page.write_text(f"{before}{BEGIN}\n\n{table(result)}\n\n{END}{after}", encoding="utf-8")


def _row(each: Summary) -> tuple[str, ...]:
    undecided = f" ({each.undecided} undecided)" if each.undecided else ""
    return (
        each.mode,
        _milliseconds(each.answer_p50),
        _milliseconds(each.answer_p99),
        f"{each.emails_a_second:.0f}",
        f"{each.last_email:.1f} s",
        f"{each.with_email} of {each.runners}{undecided}",
        f"{each.tries / each.runners:.2f}",
        str(each.twice),
    )


def _milliseconds(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
