"""What the relay asks all day costs the same however much waits: SQLite's own plans say that nothing walks or sorts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from mesh.database import sqlite_url
from mesh.outbox_entry import HandedOver, HandOver
from tests.support.sql_outbox import WatchedOutbox, entry

COUNT = 10_000
Plans = list[tuple[str, str]]


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedOutbox]:
    """Ten thousand entries, half of them of a hundred keys, one in a hundred refused."""
    made = WatchedOutbox(sqlite_url(tmp_path_factory.mktemp("plans") / "outbox.db"))
    keys = [f"k{number % 100}" if number % 2 else "" for number in range(COUNT)]
    made.add(*(entry(f"e{number}", order_key=key) for number, key in enumerate(keys)), now=1)
    with made.database.engine.begin() as connection:
        for number in range(0, COUNT, 100):
            made.table.postpone(connection, f"e{number}", until=number, error="refused")
        connection.exec_driver_sql("ANALYZE")
    yield made
    made.close()


@contextmanager
def plans(outbox: WatchedOutbox) -> Iterator[tuple[sa.Connection, Plans]]:
    """A connection, and each statement that is executed on it within the block, with the lines of its plan."""
    found: Plans = []
    asked: list[tuple[str, Any]] = []

    def note(_: Any, cursor: Any, statement: str, parameters: Any, __: Any, many: bool) -> None:
        asked.append((statement, parameters[0] if many else parameters))

    with outbox.database.engine.begin() as connection:
        sa.event.listen(connection, "before_cursor_execute", note)
        yield connection, found
        sa.event.remove(connection, "before_cursor_execute", note)
        for statement, parameters in asked:
            if statement.startswith(("SELECT", "UPDATE", "DELETE")):
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                found.append((statement, "; ".join(row.detail for row in rows)))


def walks(found: Plans) -> Plans:
    return [(statement, plan) for statement, plan in found if "SCAN" in plan]


def sorts(found: Plans) -> Plans:
    return [(statement, plan) for statement, plan in found if "TEMP B-TREE" in plan]


def test_what_the_relay_asks_for_is_found_along_an_index(outbox: WatchedOutbox) -> None:
    with plans(outbox) as (connection, found):
        assert len(outbox.table.pending(connection, now=COUNT, limit=100)) == 100
        assert outbox.table.next_pending_at(connection) == 0

    (pending, plan), (_, earliest) = found
    assert "LIMIT" in pending
    assert "USING INDEX outbox_due (due_at<?)" in plan
    assert "USING COVERING INDEX outbox_due" in earliest
    assert walks(found) == sorts(found) == []


def test_an_entry_finds_those_of_its_key_along_an_index(outbox: WatchedOutbox) -> None:
    with plans(outbox) as (connection, found):
        outbox.table.add(connection, [entry("new", order_key="k7"), entry("free")], now=1)
        outbox.table.withdraw(connection, "new", now=1)
        outbox.table.release(connection, "k7", now=1)

    assert [plan for _, plan in found if "outbox_order (order_key=?" in plan]
    assert walks(found) == sorts(found) == []


def test_what_is_done_or_postponed_is_found_by_its_id(outbox: WatchedOutbox) -> None:
    with plans(outbox) as (connection, found):
        outbox.table.postpone(connection, "e1", until=5, error="refused")
        results = {"e1": HandedOver(HandOver.SENT, "m"), "e2": HandedOver(HandOver.GONE, "m")}
        outbox.table.remove(connection, results)

    assert len(found) >= 5
    assert walks(found) == sorts(found) == []


def test_the_oldest_that_was_refused_is_found_among_those_alone(outbox: WatchedOutbox) -> None:
    with plans(outbox) as (connection, found):
        outbox.table.depth(connection)

    assert ["outbox_failed" in plan for statement, plan in found if "last_error" in statement] == [True]
    assert sorts(found) == []


def test_a_planted_walk_and_a_planted_sort_are_found(outbox: WatchedOutbox) -> None:
    with plans(outbox) as (connection, found):
        connection.exec_driver_sql("SELECT * FROM outbox WHERE queue = 'x'")
        connection.exec_driver_sql("SELECT * FROM outbox WHERE order_key = 'k1' ORDER BY queue")

    assert len(walks(found)) == 1
    assert len(sorts(found)) == 1
