"""The table of bad requests against the contract: a field that is added needs its rows, or a reason to have none."""

import pytest

from tests.support.bad_requests.harmless import HARMLESS
from tests.support.bad_requests.table import all_rows, fields, methods, plain


@pytest.mark.parametrize("method", sorted(methods()))
def test_every_field_of_every_request_has_a_row_or_a_reason(method: str) -> None:
    rows = {plain(row.field) for row in all_rows()[method]}
    tried = rows | {path.rpartition(".")[0] for path in rows}  # the paths of a mask stand for the mask

    found = fields(methods()[method].input_type, frozenset(HARMLESS))
    forgotten = [path for path, name in found if path not in tried and name not in HARMLESS]

    assert forgotten == []


def test_every_reason_is_about_a_field_without_rows_somewhere() -> None:
    rows = {method: {plain(row.field) for row in some} for method, some in all_rows().items()}
    untried = {
        name
        for method, descriptor in methods().items()
        for path, name in fields(descriptor.input_type, frozenset(HARMLESS))
        if path not in rows[method]
    }

    assert HARMLESS.keys() - untried == set()


@pytest.mark.parametrize("method", sorted(methods()))
def test_every_row_names_a_field_that_is_there(method: str) -> None:
    descriptor = methods()[method].input_type
    deepest = {path for path, _ in fields(descriptor)}
    known = {".".join(path.split(".")[: depth + 1]) for path in deepest for depth in range(path.count(".") + 1)}
    # A oneof, or the paths of a mask, are no fields of ours.
    others = {"body", "action", "call", "request", "paths"}

    tried = {plain(row.field) for row in all_rows()[method]}

    assert {path for path in tried - known if path.rpartition(".")[2] not in others} == set()
