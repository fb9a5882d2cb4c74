"""The place in a page of the documents that holds the figures of a run."""

from pathlib import Path


def rewrite(page: Path, begin: str, end: str, figures: str) -> None:
    """Put figures between two lines of a page; raises ValueError when it lacks one of them."""
    before, found_begin, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{page} lacks the line {end if found_begin else begin}")
    page.write_text(f"{before}{begin}\n\n{figures}\n\n{end}{after}", encoding="utf-8")


def milliseconds(seconds: float) -> str:
    """A time as it stands in a table."""
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
