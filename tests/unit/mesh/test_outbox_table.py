"""The outbox's statements, in a transaction of the caller's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mesh.outbox import OutboxEntry
from tests.support.sql_outbox import SqlOutbox, entry


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[SqlOutbox]:
    made = SqlOutbox(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def connection(outbox: SqlOutbox) -> Iterator[sa.Connection]:
    with outbox.database.engine.begin() as connection:
        yield connection


def ids(entries: list[OutboxEntry]) -> list[str]:
    return [found.entry_id for found in entries]


def test_an_entry_comes_back_as_it_was_added(outbox: SqlOutbox, connection: sa.Connection) -> None:
    added = OutboxEntry("e", "work", "a.b.C", b"\x00\xff", {"grüße": "ü", "traceparent": "00"})

    outbox.table.add(connection, [added], now=5)

    assert outbox.table.pending(connection, now=5, limit=10) == [added]


def test_entries_leave_in_the_order_in_which_they_came(outbox: SqlOutbox, connection: sa.Connection) -> None:
    outbox.table.add(connection, [entry("b"), entry("a")], now=9)
    outbox.table.add(connection, [entry("0")], now=1)

    assert ids(outbox.table.pending(connection, now=10, limit=2)) == ["b", "a"]
    assert ids(outbox.table.pending(connection, now=10, limit=3)) == ["b", "a", "0"]


def test_a_postponed_entry_waits_and_lets_others_pass(outbox: SqlOutbox, connection: sa.Connection) -> None:
    outbox.table.add(connection, [entry("a"), entry("b")], now=1)

    outbox.table.postpone(connection, "a", until=7, error="refused")

    assert ids(outbox.table.pending(connection, now=6, limit=9)) == ["b"]
    assert ids(outbox.table.pending(connection, now=7, limit=9)) == ["a", "b"]
    assert connection.execute(sa.select(outbox.table.table.c.last_error)).scalars().all() == ["refused", ""]


def test_the_next_entry_is_due_at_the_earliest_instant(outbox: SqlOutbox, connection: sa.Connection) -> None:
    assert outbox.table.next_pending_at(connection) is None

    outbox.table.add(connection, [entry("a")], now=8)
    outbox.table.add(connection, [entry("b")], now=3)

    assert outbox.table.next_pending_at(connection) == 3


def test_what_is_sent_is_gone(outbox: SqlOutbox, connection: sa.Connection) -> None:
    outbox.table.add(connection, [entry("a"), entry("b")], now=1)

    outbox.table.remove_sent(connection, {"a": "m-1", "nobody": "m-2"})

    assert ids(outbox.table.pending(connection, now=1, limit=9)) == ["b"]


def test_one_entry_is_stored_once(outbox: SqlOutbox, connection: sa.Connection) -> None:
    outbox.table.add(connection, [entry("a")], now=1)

    with pytest.raises(sa.exc.IntegrityError):
        outbox.table.add(connection, [entry("a")], now=1)
