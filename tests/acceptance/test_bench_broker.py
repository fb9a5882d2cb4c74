"""``make bench``: a small run without peers, so that the command cannot rot."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.processes import Program, environment_with

pytestmark = pytest.mark.acceptance

PAGE = "# Before\n\n<!-- figures: written by make bench -->\nold\n<!-- end of the figures -->\n\nAfter.\n"


async def test_a_small_run_measures_the_broker_and_its_limits_and_rewrites_the_page(folder: Path) -> None:
    page, figures = folder / "performance.md", folder / "results" / "broker.json"
    page.write_text(PAGE)
    bench = Program(
        *(sys.executable, "-m", "benchmarks.broker", "--quick", "--page", str(page), "--json", str(figures)),
        environment=environment_with({}),
    )

    await bench.start()
    code = await bench.ended(within=100)

    assert code == 0, str(bench.errors)
    result = json.loads(figures.read_text())
    measured = {each["contestant"]: each for each in result["measurements"]}
    assert measured.keys() == {"baton", "baton-client", "no-op", "sqlite"}
    assert all(each[rate] > 0 for each in measured.values() for rate in ("send", "consume", "end_to_end", "singles"))
    assert 0 < measured["baton"]["latency_p50"] <= measured["baton"]["latency_p99"]
    assert measured["no-op"]["latency_p50"] is None
    assert result["left_out"] == []
    assert {(*each["over"], *each["under"]) for each in result["ratios"]} == {
        ("baton", "send", "no-op", "send"),
        ("baton-client", "singles", "baton", "singles"),
        ("baton", "latency_p99", "baton", "latency_p50"),
    }
    assert {"processor", "flush", "load", "load after"} <= result["machine"].keys()
    text = page.read_text()
    assert (text[:9], text[-8:], "\nold\n" in text) == ("# Before\n", "\nAfter.\n", False)
    assert f"| Baton | {measured['baton']['send']:,.0f} |" in text
    picture = ET.parse(folder / "performance.svg").getroot()
    assert [element.tag for element in picture.iter() if element.tag.endswith("script")] == []


async def test_a_peer_that_nobody_knows_is_refused_with_the_names_of_those_there_are(folder: Path) -> None:
    bench = Program(sys.executable, "-m", "benchmarks.broker", "--peers", "kafka", environment=environment_with({}))

    await bench.start()
    code = await bench.ended(within=60)

    assert code == 2
    assert "'rabbitmq'" in str(bench.errors)
