"""The figures as a picture: three panels."""

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pygal

from benchmarks import picture
from benchmarks.patterns.measurement import Summary
from benchmarks.patterns.result import Result

_WIDTH, _HEIGHT = 360, 300
_STYLE = picture.style(("#0969da", "#bf8700"), of_values=picture.INK, value_size=12)


def write(path: Path, result: Result) -> None:
    """Draw the modes side by side."""
    panels = _panels(result.summaries())
    widths = (_WIDTH,) * len(panels)
    picture.write(path, "The three ways to send a confirmation, measured", panels, widths, _HEIGHT)


def _panels(found: Sequence[Summary]) -> list[ET.Element]:
    decades = picture.decades([1000 * time for each in found for time in (each.answer_p50, each.answer_p99)])
    return [
        _panel(
            "Register: answer time (ms, log)",
            found,
            {"p50": lambda each: each.answer_p50 * 1000, "p99": lambda each: each.answer_p99 * 1000},
            logarithmic=True,
            y_labels=decades,
            zero=decades[0],
        ),
        _panel("Emails a second", found, {"emails/s": lambda each: each.emails_a_second}),
        _panel(
            "Runners with their email (%)",
            found,
            {"share": lambda each: each.share * 100},
            y_labels=(0, 25, 50, 75, 100),
        ),
    ]


def _panel(
    title: str, found: Sequence[Summary], series: dict[str, Callable[[Summary], float]], **options: object
) -> ET.Element:
    chart = pygal.Bar(
        title=title,
        width=_WIDTH,
        height=_HEIGHT,
        style=_STYLE,
        js=(),
        print_values=True,
        print_values_position="top",
        show_legend=len(series) > 1,
        legend_at_bottom=True,
        truncate_label=-1,
        max_scale=5,
        formatter=picture.figure,
        value_formatter=picture.figure,
        **options,
    )
    chart.x_labels = [each.mode for each in found]
    for name, value in series.items():
        chart.add(name, [round(value(each), 3) for each in found])
    return picture.panel(chart, title.partition(":")[0].partition(" ")[0].lower())
