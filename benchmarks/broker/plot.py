"""The figures as a picture: rates beside latencies."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pygal

from benchmarks import picture
from benchmarks.broker.measurement import Summary
from benchmarks.broker.result import Result
from benchmarks.broker.table import TITLES, WORDS

_WIDTHS = (640, 440)
_ROW, _FRAME = 46, 110
_FIGURE = partial(picture.figure, form=",.0f")
_STYLE = picture.style(("#0969da", "#bf8700", "#1a7f37"), of_values="#ffffff", value_size=10)


def write(path: Path, result: Result) -> None:
    """Draw the contestants below each other."""
    found = result.summaries()
    with_latency = [each for each in found if each.latency_p50 is not None]
    height = _FRAME + _ROW * len(found)
    panels = [
        _panel("Messages a second (log)", found, ("send", "consume", "end_to_end"), 1, _WIDTHS[0], height),
        _panel(
            "Latency at a steady rate (ms, log)", with_latency, ("latency_p50", "latency_p99"), 1000, _WIDTHS[1], height
        ),
    ]
    picture.write(path, "The broker beside its peers and its limits, measured", panels, _WIDTHS, height)


def _panel(
    title: str, found: Sequence[Summary], figures: Sequence[str], unit: float, width: int, height: int
) -> ET.Element:
    values = {name: [unit * getattr(each, name) for each in reversed(found)] for name in figures}
    decades = picture.decades([value for row in values.values() for value in row])
    chart = pygal.HorizontalBar(
        title=title,
        width=width,
        height=height,
        style=_STYLE,
        js=(),
        logarithmic=True,
        zero=decades[0],
        y_labels=decades,
        print_values=True,
        print_values_position="center",
        legend_at_bottom=True,
        truncate_label=-1,
        truncate_legend=-1,
        formatter=_FIGURE,
        value_formatter=_FIGURE,
    )
    chart.x_labels = [TITLES[each.contestant] for each in reversed(found)]
    for name, row in values.items():
        chart.add(WORDS[name].removeprefix("latency "), [round(value, 3) for value in row])
    return picture.panel(chart, title.partition(" ")[0].lower())
