from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.patterns import table
from benchmarks.patterns.measurement import Measurement, emails_a_second, summary
from benchmarks.patterns.plan import FULL, MODES, address, rounds
from benchmarks.patterns.result import Result
from benchmarks.percentile import percentile

ONE = Measurement(
    "QUEUED",
    number=1,
    runners=100,
    answer_p50=0.004,
    answer_p99=0.02,
    emails_a_second=40.0,
    last_email=9.0,
    with_email=100,
    twice=0,
    tries=110,
    failed=0,
    undecided=0,
)


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(1, 201)]

    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values[:1], 0.99)) == (100.0, 198.0, 1.0)


def test_the_rate_counts_the_first_four_fifths_and_not_what_waits_for_a_retry() -> None:
    prompt = [10.0 + 0.1 * number for number in range(1, 10)]

    assert emails_a_second([*prompt, 60.0], 10, begun=10.0) == pytest.approx(10.0)
    assert emails_a_second(prompt[:8], 10, begun=10.0) == pytest.approx(10.0)
    assert emails_a_second(prompt[:7], 10, begun=10.0) == 0.0


def test_rounds_are_summed_up_by_medians_and_counts_by_sums() -> None:
    slow = replace(ONE, number=2, answer_p50=0.5, emails_a_second=1.0, with_email=90, tries=150)

    found = summary([ONE, slow, ONE])

    assert (found.answer_p50, found.emails_a_second) == (0.004, 40.0)
    assert (found.runners, found.with_email, found.tries, found.share) == (300, 290, 370, 290 / 300)


def test_every_mode_is_first_once_and_meets_the_same_whims() -> None:
    order = list(rounds(FULL))

    assert [mode for number, mode in order[:: len(MODES)]] == list(MODES)
    assert len(set(order)) == FULL.rounds * len(MODES)
    names = [address(mode, 2, 7) for mode in MODES]
    assert len(set(names)) == len(MODES)
    assert {FULL.manners.to_mail(name, 1) for name in names} == {FULL.manners.to_mail(names[0], 1)}


def test_a_page_without_a_place_for_the_figures_is_refused(tmp_path: Path) -> None:
    machine = dict.fromkeys(("processor", "memory", "system", "python", "grpcio", "sqlite", "load"), "?")
    result = Result("today", "it", machine, 1.0, FULL, tuple(replace(ONE, mode=mode) for mode in MODES))
    page = tmp_path / "page.md"
    page.write_text(f"{table.BEGIN}\n")

    with pytest.raises(ValueError, match="lacks the line <!-- end"):
        table.rewrite(page, result)
