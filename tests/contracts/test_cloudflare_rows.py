"""Every behaviour of Cloudflare Queues that we hold ourselves against has a test, and the documentation names it.

A row with a number is a test of Miniflare's suite for queues, one with a letter a probe of our own; see
docs/compared_with_cloudflare.md. A test carries a row by naming it in its docstring.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.tool import ROOT

DOCUMENT = ROOT / "docs" / "compared_with_cloudflare.md"
NOT_APPLICABLE = "not applicable: "

ROWS = [
    *("#1", "#2", "#3", "#4", "#5", "#6", "#7a", "#7b", "#7c", "#7d", *(f"#{number}" for number in range(8, 25))),
    *(f"A{number}" for number in range(1, 7)),
    *(f"B{number}" for number in range(1, 15)),
    "C1",
    *(f"D{number}" for number in range(1, 7)),
    *(f"E{number}" for number in range(1, 4)),
    *(f"F{number}" for number in range(1, 4)),
    *(f"G{number}" for number in range(1, 5)),
    *(f"H{number}" for number in range(1, 4)),
    *(f"P{number}" for number in range(1, 4)),
    *(f"V{number}" for number in range(1, 10)),
]

_CARRIED = re.compile(r"Rows? (.+)\.$")
_LABEL = re.compile(r"(?:#\d+[a-d]?|[A-HPV]\d+)")
_TEST = re.compile(r"`(test_\w+)`")

Tests = dict[str, set[str]]
"""Names of tests, by the row that they carry."""


def held_against_cloudflare() -> list[str]:
    """The code of every test file but this one that is about Cloudflare."""
    found = sorted((ROOT / "tests").glob("*/test_cloudflare_*.py"))
    return [path.read_text(encoding="utf-8") for path in found if path != Path(__file__)]


def functions_in(code: str) -> list[ast.AsyncFunctionDef | ast.FunctionDef]:
    functions = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef))
    return [function for function in functions if function.name.startswith("test_")]


def carried(codes: Iterable[str]) -> Tests:
    """What the docstrings of tests say."""
    tests: Tests = defaultdict(set)
    for code in codes:
        for test in functions_in(code):
            for label in labels(test):
                tests[label].add(test.name)
    return dict(tests)


def labels(test: ast.AsyncFunctionDef | ast.FunctionDef) -> list[str]:
    said = _CARRIED.match(ast.get_docstring(test) or "")
    return _LABEL.findall(said.group(1)) if said else []


def documented(text: str) -> dict[str, str]:
    """The last cell of each line of the checklist, by the rows in its first one."""
    cells: dict[str, str] = {}
    checklist = text.partition("\n## Row by row\n")[2].partition("\n## ")[0]
    for line in checklist.splitlines():
        columns = [column.strip() for column in line.strip().strip("|").split(" | ")]
        for label in _LABEL.findall(columns[0]) if len(columns) > 1 else []:
            assert label not in cells, f"{label} is twice in the checklist"
            cells[label] = columns[-1]
    return cells


@pytest.fixture(scope="module")
def tests() -> Tests:
    return carried(held_against_cloudflare())


@pytest.fixture(scope="module")
def checklist() -> dict[str, str]:
    return documented(DOCUMENT.read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_tested_or_said_not_to_apply(row: str, tests: Tests, checklist: dict[str, str]) -> None:
    said = checklist.get(row, "")

    if row in tests:
        assert set(_TEST.findall(said)) == tests[row]
    else:
        assert said.startswith(NOT_APPLICABLE)
        assert len(said) > len(NOT_APPLICABLE)


def test_there_is_no_row_that_nobody_knows(tests: Tests, checklist: dict[str, str]) -> None:
    assert set(tests) | set(checklist) == set(ROWS)


def test_every_test_held_against_cloudflare_carries_a_row() -> None:
    bare = [test.name for code in held_against_cloudflare() for test in functions_in(code) if not labels(test)]

    assert bare == []


def test_labels_are_read_from_docstrings_and_from_the_checklist() -> None:
    code = 'def test_a() -> None:\n    """Rows #7a, B1 and V9."""\n\nasync def test_b() -> None:\n    """Row B1."""'
    text = (
        "\n## Row by row\n\n| row | there | here | test |\n| --- | --- | --- | --- |\n| B1, #7a | x | y | `test_a` |\n"
    )

    assert carried([code]) == {"#7a": {"test_a"}, "B1": {"test_a", "test_b"}, "V9": {"test_a"}}
    assert documented(text) == {"B1": "`test_a`", "#7a": "`test_a`"}
