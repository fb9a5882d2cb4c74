"""``make bench-patterns``: a small run, so that the command cannot rot."""

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.support.processes import Program, environment_with

pytestmark = pytest.mark.acceptance

PAGE = "# Before\n\n<!-- figures: written by make bench-patterns -->\nold\n<!-- end of the figures -->\n\nAfter.\n"
RUNNERS = 20


async def test_a_small_run_measures_every_mode_and_rewrites_the_page(folder: Path) -> None:
    page, figures = folder / "patterns.md", folder / "results" / "patterns.json"
    page.write_text(PAGE)
    bench = Program(
        *(sys.executable, "-m", "benchmarks.patterns", "--quick", "--page", str(page), "--json", str(figures)),
        environment=environment_with({}),
    )

    await bench.start()
    code = await bench.ended(within=90)

    assert code == 0, str(bench.errors)
    result = json.loads(figures.read_text())
    sequential, background, queued = (summary(result, mode) for mode in ("SEQUENTIAL", "BACKGROUND", "QUEUED"))
    assert background["with_email"] == queued["with_email"] == RUNNERS
    assert sequential["with_email"] == RUNNERS - sequential["failed"] < RUNNERS
    assert background["tries"] == queued["tries"] == RUNNERS + sequential["failed"]
    assert sequential["tries"] == RUNNERS
    assert [each["twice"] + each["undecided"] for each in (sequential, background, queued)] == [0, 0, 0]
    assert {"processor", "python", "grpcio", "sqlite"} <= result["machine"].keys()
    text = page.read_text()
    assert (text[:9], text[-8:], "\nold\n" in text) == ("# Before\n", "\nAfter.\n", False)
    assert f"| {sequential['with_email']} of {RUNNERS} |" in text
    picture = ET.parse(folder / "patterns.svg").getroot()
    assert [element.tag for element in picture.iter() if element.tag.endswith("script")] == []


def summary(result: dict[str, Any], mode: str) -> dict[str, Any]:
    (found,) = (each for each in result["summaries"] if each["mode"] == mode)
    return dict(found)
