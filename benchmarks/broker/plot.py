"""The figures as a picture: rates beside latencies, in one SVG that needs no script and nothing from elsewhere."""

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pygal
from pygal.style import Style

from benchmarks.broker.measurement import Summary
from benchmarks.broker.result import Result
from benchmarks.broker.table import TITLES, WORDS

_SVG = "http://www.w3.org/2000/svg"
_WIDTHS = (640, 440)
_ROW, _FRAME = 46, 110
_INK, _PALE = "#24292f", "#d0d7de"
_COLOURS = ("#0969da", "#bf8700", "#1a7f37")


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
    ET.register_namespace("", _SVG)
    whole = ET.Element(f"{{{_SVG}}}svg", {"viewBox": f"0 0 {sum(_WIDTHS)} {height}", "role": "img"})
    ET.SubElement(whole, f"{{{_SVG}}}title").text = "The broker beside its peers and its limits, measured"
    for place, width, panel in zip((0, _WIDTHS[0]), _WIDTHS, panels, strict=True):
        panel.attrib |= {"x": str(place), "y": "0", "width": str(width), "height": str(height)}
        whole.append(panel)
    path.write_text(ET.tostring(whole, encoding="unicode") + "\n", encoding="utf-8")


def _panel(
    title: str, found: Sequence[Summary], figures: Sequence[str], unit: float, width: int, height: int
) -> ET.Element:
    values = {name: [unit * getattr(each, name) for each in reversed(found)] for name in figures}
    decades = _decades([value for row in values.values() for value in row])
    chart = pygal.HorizontalBar(
        title=title,
        width=width,
        height=height,
        style=_style(),
        js=(),
        logarithmic=True,
        zero=decades[0],
        y_labels=decades,
        print_values=True,
        print_values_position="center",
        legend_at_bottom=True,
        truncate_label=-1,
        truncate_legend=-1,
        formatter=_figure,
        value_formatter=_figure,
    )
    chart.x_labels = [TITLES[each.contestant] for each in reversed(found)]
    for name, row in values.items():
        chart.add(WORDS[name].removeprefix("latency "), [round(value, 3) for value in row])
    chart.uuid = title.partition(" ")[0].lower()  # the same picture from the same figures
    return _inert(ET.fromstring(chart.render(is_unicode=True)))  # noqa: S314  # made here


def _style() -> Style:
    return Style(
        background="#ffffff",
        plot_background="#ffffff",
        foreground=_INK,
        foreground_strong=_INK,
        foreground_subtle=_PALE,
        colors=_COLOURS,
        opacity="1",
        font_family="system-ui, sans-serif",
        title_font_size=15,
        label_font_size=11,
        major_label_font_size=11,
        guide_stroke_color=_PALE,
        major_guide_stroke_color=_PALE,
        value_font_size=10,
        legend_font_size=12,
        value_colors=("#ffffff",) * len(_COLOURS),
    )


def _decades(values: Sequence[float]) -> list[float]:
    """Powers of ten, from below the smallest value to above the largest."""
    least, most = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(least, max(most, least + 1) + 1)]


def _figure(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:,.0f}"


def _inert(panel: ET.Element) -> ET.Element:
    for parent in list(panel.iter()):
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}script":
                parent.remove(child)
    return panel
