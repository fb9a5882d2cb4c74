"""The figures as a picture: three panels in one SVG, which needs no script and nothing from elsewhere."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pygal
from pygal.style import Style

from benchmarks.patterns.measurement import Summary
from benchmarks.patterns.result import Result

_SVG = "http://www.w3.org/2000/svg"
_WIDTH, _HEIGHT = 360, 300
_INK, _PALE = "#24292f", "#d0d7de"
_STYLE = Style(
    background="#ffffff",
    plot_background="#ffffff",
    foreground=_INK,
    foreground_strong=_INK,
    foreground_subtle=_PALE,
    colors=("#0969da", "#bf8700"),
    opacity="1",
    font_family="system-ui, sans-serif",
    title_font_size=15,
    label_font_size=11,
    major_label_font_size=11,
    guide_stroke_color=_PALE,
    major_guide_stroke_color=_PALE,
    value_font_size=12,
    legend_font_size=12,
    value_colors=(_INK, _INK),
)


def write(path: Path, result: Result) -> None:
    """Draw the modes side by side."""
    panels = _panels(result.summaries())
    ET.register_namespace("", _SVG)
    whole = ET.Element(f"{{{_SVG}}}svg", {"viewBox": f"0 0 {_WIDTH * len(panels)} {_HEIGHT}", "role": "img"})
    ET.SubElement(whole, f"{{{_SVG}}}title").text = "The three ways to send a confirmation, measured"
    for place, panel in enumerate(panels):
        panel.attrib |= {"x": str(place * _WIDTH), "y": "0", "width": str(_WIDTH), "height": str(_HEIGHT)}
        whole.append(panel)
    path.write_text(ET.tostring(whole, encoding="unicode") + "\n", encoding="utf-8")


def _panels(found: Sequence[Summary]) -> list[ET.Element]:
    decades = _decades(found)
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
        formatter=_figure,
        value_formatter=_figure,
        **options,
    )
    chart.x_labels = [each.mode for each in found]
    for name, value in series.items():
        chart.add(name, [round(value(each), 3) for each in found])
    chart.uuid = title.partition(":")[0].partition(" ")[0].lower()  # the same picture from the same figures
    return _inert(ET.fromstring(chart.render(is_unicode=True)))  # noqa: S314  # made here


def _decades(found: Sequence[Summary]) -> list[float]:
    """Powers of ten in milliseconds, from below the quickest answer to above the slowest."""
    quickest = 1000 * min(each.answer_p50 for each in found)
    slowest = 1000 * max(each.answer_p99 for each in found)
    return [10.0**power for power in range(math.floor(math.log10(quickest)), math.ceil(math.log10(slowest)) + 1)]


def _figure(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:.0f}"


def _inert(panel: ET.Element) -> ET.Element:
    for parent in list(panel.iter()):
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}script":
                parent.remove(child)
    return panel
