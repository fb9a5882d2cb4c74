from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.broker import table
from benchmarks.broker.contestant import CONTESTANTS, OWN, Contestant
from benchmarks.broker.measurement import Measurement, Ratio, ratio, summaries
from benchmarks.broker.plan import FULL, visits
from benchmarks.broker.result import Result
from benchmarks.broker.servers.baton import baton
from benchmarks.broker.targets import TARGETS, Target, found
from benchmarks.percentile import percentile

OURS = Measurement("baton", 1, 20_000.0, 10_000.0, 8_000.0, 2_000.0, 0.002, 0.006)
REDIS = Measurement("redis", 1, 40_000.0, 50_000.0, 30_000.0, 9_000.0, 0.001, 0.002)
MACHINE = dict.fromkeys(
    ("processor", "memory", "system", "python", "grpcio", "sqlite", "load", "load after", "flush"), "?"
)
RESULT = Result("today", "it", MACHINE, 1.0, FULL, (OURS, REDIS), ("RabbitMQ is left out: it is not installed.",))


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(200, 0, -1)]

    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (100.0, 198.0, 7.0)


def test_a_ratio_is_taken_within_each_round_and_not_of_the_medians() -> None:
    # Given a machine that was four times slower in the second round, and a peer that missed the third
    rounds = [OURS, REDIS]
    rounds += [replace(OURS, number=2, send=5_000.0), replace(REDIS, number=2, send=10_000.0)]
    rounds += [replace(OURS, number=3, send=1.0)]

    compared = ratio(rounds, ("baton", "send"), ("redis", "send"))

    assert compared == Ratio(0.5, 0.5, 0.5)


def test_who_was_not_measured_is_compared_with_nobody() -> None:
    without_latency = replace(REDIS, contestant="no-op", latency_p50=None)

    assert ratio([OURS], ("baton", "send"), ("redis", "send")) is None
    assert ratio([OURS, without_latency], ("baton", "latency_p50"), ("no-op", "latency_p50")) is None


def test_rounds_are_summed_up_by_medians() -> None:
    slow, fast = replace(OURS, number=2, send=1.0), replace(OURS, number=3, send=30_000.0)

    (summary,) = summaries([OURS, slow, fast])

    assert (summary.rounds, summary.send, summary.latency_p50) == (3, 20_000.0, 0.002)


@pytest.mark.parametrize(
    ("value", "at_most", "verdict"),
    [(0.99, False, "below"), (1.0, False, "bar"), (2.0, False, "goal"), (1.01, True, "below"), (1.0, True, "bar")],
)
def test_a_target_says_what_was_reached(value: float, at_most: bool, verdict: str) -> None:
    target = Target(("baton", "send"), ("redis", "send"), 1.0, None if at_most else 2.0, at_most)

    assert target.verdict(Ratio(value, value, value)) == verdict


def test_every_target_is_about_somebody_who_is_measured_and_says_more_of_the_goal_than_of_the_bar() -> None:
    names = {contestant.name for contestant in CONTESTANTS}

    assert {name for target in TARGETS for name, _ in (target.over, target.under)} <= names
    assert [target for target in TARGETS if target.goal is not None and target.goal <= target.bar] == []


def test_a_run_without_some_peers_speaks_of_the_others_alone() -> None:
    compared = found([OURS, REDIS])

    assert {target.under[0] for target, _ in compared} == {"redis", "baton"}
    assert ("baton", "send") in {target.over for target, _ in compared}


def test_everybody_is_first_once_and_each_round_has_everybody() -> None:
    order = list(visits(3, "abc"))

    assert [name for _, name in order] == list("abcbcacab")
    assert [number for number, _ in order] == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_a_contestant_whose_library_is_not_there_is_left_out_with_a_sentence() -> None:
    absent = Contestant("x", "A broker", "x:X", baton, library="no_such_library")
    no_server = replace(absent, lacks=lambda: "no-such-server is not installed")

    assert absent.missing().startswith("A broker is left out: no_such_library is not in .tools/bench")
    assert no_server.missing() == "A broker is left out: no-such-server is not installed."
    assert [each.missing() for each in CONTESTANTS if each.name in OWN] == [""] * len(OWN)


def test_the_tables_say_ratio_bar_and_who_is_left_out() -> None:
    text = table.tables(RESULT)

    assert "| Baton | 20,000 | 10,000 | 8,000 | 2,000 | 2.0 ms | 6.0 ms | all of it |" in text
    assert "| Baton: send | Redis Streams, appendfsync always | 0.50 | 0.50 to 0.50 | 0.7 | 1 | **no** |" in text
    assert "| Baton: latency p99 | Baton: latency p50 | 3.00 | 3.00 to 3.00 | at most 4 |  | yes |" in text
    assert text.endswith("\nRabbitMQ is left out: it is not installed.")


def test_a_page_without_a_place_for_the_figures_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{table.BEGIN}\n")

    with pytest.raises(ValueError, match="lacks the line <!-- end"):
        table.rewrite(page, RESULT)
