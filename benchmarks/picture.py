"""Figures as a picture: panels beside each other in one SVG, which needs no script and nothing from elsewhere."""

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from pygal.graph.graph import Graph
from pygal.style import Style

_SVG = "http://www.w3.org/2000/svg"
INK, _PALE = "#24292f", "#d0d7de"


def style(colours: Sequence[str], *, of_values: str, value_size: int) -> Style:
    """How every panel looks, but for its colours and the figures on its bars."""
    return Style(
        background="#ffffff",
        plot_background="#ffffff",
        foreground=INK,
        foreground_strong=INK,
        foreground_subtle=_PALE,
        colors=tuple(colours),
        opacity="1",
        font_family="system-ui, sans-serif",
        title_font_size=15,
        label_font_size=11,
        major_label_font_size=11,
        guide_stroke_color=_PALE,
        major_guide_stroke_color=_PALE,
        value_font_size=value_size,
        legend_font_size=12,
        value_colors=(of_values,) * len(colours),
    )


def decades(values: Sequence[float]) -> list[float]:
    """Powers of ten, from below the smallest value to above the largest."""
    least, most = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(least, max(most, least + 1) + 1)]


def figure(value: float, *, form: str = ".0f") -> str:
    """A value as it stands on its bar; ``form`` is that of the large ones."""
    return f"{value:.1f}".removesuffix(".0") if value < 10 else format(value, form)


def panel(chart: Graph, name: str) -> ET.Element:
    """A chart, drawn; with its name the picture is the same from the same figures."""
    chart.uuid = name
    drawn = ET.fromstring(chart.render(is_unicode=True))  # noqa: S314  # made here
    for parent in list(drawn.iter()):
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}script":
                parent.remove(child)
    return drawn


def write(path: Path, title: str, panels: Sequence[ET.Element], widths: Sequence[int], height: int) -> None:
    """Put panels of one height side by side into a file."""
    ET.register_namespace("", _SVG)
    whole = ET.Element(f"{{{_SVG}}}svg", {"viewBox": f"0 0 {sum(widths)} {height}", "role": "img"})
    ET.SubElement(whole, f"{{{_SVG}}}title").text = title
    for place, (each, width) in enumerate(zip(panels, widths, strict=True)):
        each.attrib |= {"x": str(sum(widths[:place])), "y": "0", "width": str(width), "height": str(height)}
        whole.append(each)
    path.write_text(ET.tostring(whole, encoding="unicode") + "\n", encoding="utf-8")
