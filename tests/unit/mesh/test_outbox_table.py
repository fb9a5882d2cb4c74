"""The outbox's statements, in a transaction of the caller's, on every database that the services know."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa

from mesh.database import sqlite_url
from mesh.outbox_entry import HandedOver, HandOver, OutboxDepth, OutboxEntry
from mesh.outbox_table import OutboxTable
from tests.support.postgres import emptied
from tests.support.sql_outbox import WatchedOutbox, entry

SENT, WITHDRAWN, GONE = (HandedOver(what, "m-1") for what in HandOver)


@pytest.fixture(params=["sqlite", "postgres"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WatchedOutbox]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path / "outbox.db")
    else:
        url = emptied(request.getfixturevalue("postgres"))
    made = WatchedOutbox(url)
    yield made
    made.close()


@pytest.fixture
def table(outbox: WatchedOutbox) -> OutboxTable:
    return outbox.table


@pytest.fixture
def connection(outbox: WatchedOutbox) -> Iterator[sa.Connection]:
    with outbox.database.engine.begin() as connection:
        yield connection


def ids(table: OutboxTable, connection: sa.Connection, now: int = 1_000) -> list[str]:
    return [found.entry_id for found in table.pending(connection, now, 99)]


def due(table: OutboxTable, connection: sa.Connection) -> Mapping[str, int]:
    found = connection.execute(sa.select(table.table.c.entry_id, table.table.c.due_at))
    return {row.entry_id: row.due_at for row in found}


def test_an_entry_comes_back_as_it_was_added(table: OutboxTable, connection: sa.Connection) -> None:
    attributes = {"grüße": "ü", "traceparent": "00"}
    added = OutboxEntry("e", "work", "a.b.C", b"\x00\xff", attributes, "k", withdraw=True, message_id="m\0")

    table.add(connection, [added], now=5)

    assert table.pending(connection, now=5, limit=10) == [added]


def test_nothing_is_added_where_there_is_nothing_to_add(table: OutboxTable, connection: sa.Connection) -> None:
    table.add(connection, [], now=5)

    assert table.depth(connection) == OutboxDepth(0, None, "")


def test_entries_leave_in_the_order_in_which_they_are_due_and_came(
    table: OutboxTable, connection: sa.Connection
) -> None:
    table.add(connection, [entry("b"), entry("a")], now=9)
    table.add(connection, [entry("0")], now=1)
    table.add(connection, [entry("c")], now=9)

    assert [found.entry_id for found in table.pending(connection, now=10, limit=2)] == ["0", "b"]
    assert ids(table, connection) == ["0", "b", "a", "c"]
    assert ids(table, connection, now=8) == ["0"]


def test_a_postponed_entry_waits_and_lets_others_pass(table: OutboxTable, connection: sa.Connection) -> None:
    table.add(connection, [entry("a"), entry("b")], now=1)

    table.postpone(connection, "a", until=7, error="refused")

    assert ids(table, connection, now=6) == ["b"]
    assert ids(table, connection, now=7) == ["b", "a"]
    assert table.depth(connection).last_error == "refused"


def test_the_next_entry_is_due_at_the_earliest_instant(table: OutboxTable, connection: sa.Connection) -> None:
    assert table.next_pending_at(connection) is None

    table.add(connection, [entry("a")], now=8)
    table.add(connection, [entry("b")], now=3)

    assert table.next_pending_at(connection) == 3


def test_one_entry_is_stored_once(table: OutboxTable, outbox: WatchedOutbox) -> None:
    outbox.add(entry("a"), now=1)

    with pytest.raises(sa.exc.IntegrityError):
        outbox.add(entry("a"), now=1)


def test_an_entry_can_be_added_for_later(table: OutboxTable, connection: sa.Connection) -> None:
    table.add(connection, [entry("a")], now=5, not_before=9)
    table.add(connection, [entry("b")], now=5, not_before=2)

    assert due(table, connection) == {"a": 9, "b": 5}


def test_an_entry_goes_behind_those_of_its_key_and_of_no_other(table: OutboxTable, connection: sa.Connection) -> None:
    table.add(connection, [entry("k1", order_key="k"), entry("j1", order_key="j"), entry("f1")], now=5, not_before=50)

    table.add(connection, [entry("k2", order_key="k"), entry("i1", order_key="i"), entry("f2")], now=5)
    table.add(connection, [entry("k3", order_key="k")], now=5, not_before=70)
    table.add(connection, [entry("k4", order_key="k")], now=60)

    assert due(table, connection) == {"k1": 50, "j1": 50, "f1": 50, "k2": 50, "i1": 5, "f2": 5, "k3": 70, "k4": 70}
    assert ids(table, connection) == ["i1", "f2", "k1", "j1", "f1", "k2", "k3", "k4"]


def test_a_postponed_entry_keeps_back_those_behind_it_of_its_key(table: OutboxTable, connection: sa.Connection) -> None:
    table.add(connection, [entry(name, order_key="k") for name in ("k1", "k2", "k3")], now=1)
    table.add(connection, [entry("k4", order_key="k")], now=1, not_before=99)
    table.add(connection, [entry("j1", order_key="j"), entry("f1")], now=1)

    table.postpone(connection, "k2", until=7, error="refused")

    assert due(table, connection) == {"k1": 1, "k2": 7, "k3": 7, "k4": 99, "j1": 1, "f1": 1}


def test_an_entry_that_was_added_after_it_waits_for_a_postponed_one_too(
    table: OutboxTable, connection: sa.Connection
) -> None:
    table.add(connection, [entry("k1", order_key="k")], now=1)
    table.postpone(connection, "k1", until=7, error="refused")

    table.add(connection, [entry("k2", order_key="k")], now=2)

    assert ids(table, connection, now=6) == []
    assert ids(table, connection, now=7) == ["k1", "k2"]


def test_to_postpone_what_is_not_there_changes_nothing(table: OutboxTable, connection: sa.Connection) -> None:
    table.add(connection, [entry("a")], now=1)

    table.postpone(connection, "nobody", until=7, error="refused")

    assert due(table, connection) == {"a": 1}


def test_a_key_can_be_released(table: OutboxTable, connection: sa.Connection) -> None:
    keyed = [entry("k1", order_key="k"), entry("k2", order_key="k"), entry("j1", order_key="j")]
    table.add(connection, keyed, now=1, not_before=50)
    table.add(connection, [entry("k3", order_key="k")], now=1, not_before=60)

    table.release(connection, "k", now=4)

    assert ids(table, connection, now=4) == ["k1", "k2", "k3"]
    assert due(table, connection)["j1"] == 50


def test_an_entry_becomes_a_withdrawal_in_its_place(table: OutboxTable, connection: sa.Connection) -> None:
    table.add(connection, [entry(name, order_key="k") for name in ("k1", "k2", "k3")], now=1)

    assert table.withdraw(connection, "k2", now=9)

    found = table.pending(connection, now=9, limit=9)
    assert [(each.entry_id, each.withdraw) for each in found] == [("k1", False), ("k2", True), ("k3", False)]


def test_a_withdrawal_comes_at_once_but_not_before_those_ahead_of_it(
    table: OutboxTable, connection: sa.Connection
) -> None:
    table.add(connection, [entry("k1", order_key="k"), entry("j1", order_key="j"), entry("f1")], now=1, not_before=30)
    table.add(connection, [entry("k2", order_key="k")], now=1, not_before=50)
    table.postpone(connection, "j1", until=60, error="refused")

    for name in ("k2", "j1", "f1"):
        table.withdraw(connection, name, now=9)

    assert due(table, connection) == {"k1": 30, "k2": 30, "j1": 9, "f1": 9}
    assert table.depth(connection).last_error == ""


def test_there_is_nothing_to_withdraw_where_nothing_waits_to_be_sent(
    table: OutboxTable, connection: sa.Connection
) -> None:
    table.add(connection, [entry("a"), entry("b", withdraw=True, message_id="m-b")], now=1)
    table.withdraw(connection, "a", now=2)

    assert not table.withdraw(connection, "a", now=3)
    assert not table.withdraw(connection, "b", now=3)
    assert not table.withdraw(connection, "nobody", now=3)


def test_what_is_done_is_gone(table: OutboxTable, connection: sa.Connection) -> None:
    withdrawals = [entry("c", withdraw=True), entry("d", withdraw=True)]
    table.add(connection, [entry("a"), entry("b"), *withdrawals], now=1)

    table.remove(connection, {"a": SENT, "c": WITHDRAWN, "d": GONE, "nobody": SENT})

    assert ids(table, connection) == ["b"]


def test_what_became_a_withdrawal_while_it_was_sent_stays_and_knows_its_message(
    table: OutboxTable, connection: sa.Connection
) -> None:
    table.add(connection, [entry("a"), entry("b")], now=1)
    table.withdraw(connection, "a", now=1)

    table.remove(connection, {"a": HandedOver(HandOver.SENT, "m-a"), "b": HandedOver(HandOver.SENT, "m-b")})

    (left,) = table.pending(connection, now=1, limit=9)
    assert (left.entry_id, left.withdraw, left.message_id) == ("a", True, "m-a")


@pytest.mark.parametrize("result", [WITHDRAWN, GONE])
def test_what_is_to_be_sent_is_not_done_by_a_withdrawal(
    table: OutboxTable, connection: sa.Connection, result: HandedOver
) -> None:
    table.add(connection, [entry("a")], now=1)

    table.remove(connection, {"a": result})

    assert ids(table, connection) == ["a"]


def test_the_depth_is_that_of_the_longest_waiting(table: OutboxTable, connection: sa.Connection) -> None:
    assert table.depth(connection) == OutboxDepth(0, None, "")

    table.add(connection, [entry("a"), entry("b")], now=3)
    table.add(connection, [entry("c")], now=5, not_before=99)
    assert table.depth(connection) == OutboxDepth(3, 3, "")

    table.postpone(connection, "c", until=7, error="no c")
    table.postpone(connection, "b", until=9, error="no \0 b")
    assert table.depth(connection) == OutboxDepth(3, 3, "no \0 b")

    table.remove(connection, {"a": SENT, "b": SENT})
    assert table.depth(connection) == OutboxDepth(1, 5, "no c")
