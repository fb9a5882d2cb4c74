"""What a verb costs must not grow with the backlog: SQLite's own plans say that nothing walks or sorts a table."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mesh.clock import SECOND
from mesh.database import sqlite_url
from queue_service.redrive import RedriveTask
from queue_service.settlement import Ack, Reject, Retry
from queue_service.storage import verbs, views
from queue_service.storage.sql import SqlStore
from queue_service.storage.verbs import Peek
from queue_service.storage.views import Filter, Place, Position
from tests.support.broker_store import BrokerStore

EVERY = frozenset(Place)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    made = SqlStore(sqlite_url(tmp_path / "queue.db"))
    yield made
    made.close()


@pytest.fixture
def broker(store: SqlStore) -> BrokerStore:
    made = BrokerStore(store)
    made.send(*"abcdefgh")
    made.send("k1", "k2", ordering_key="k")
    made.send("later", deliver_time=made.clock.now() + 60 * SECOND)
    retried, rejected, _ = made.lease(3).deliveries
    made.settle(retried, Retry(delay=60 * SECOND, code="X"))
    made.settle(rejected, Reject("Y"))
    return made


@contextmanager
def plans(store: SqlStore) -> Iterator[list[tuple[str, str]]]:
    """Each statement that is executed within the block, with the lines of its plan."""
    found: list[tuple[str, str]] = []
    asked: list[str] = []
    driver = store._connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.set_trace_callback(asked.append)
    yield found
    driver.set_trace_callback(None)
    for statement in asked:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            plan = driver.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            found.append((statement, "; ".join(line[-1] for line in plan)))


def walks(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(statement, plan) for statement, plan in found if "SCAN deliveries" in plan or "SCAN messages" in plan]


def sorts(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(statement, plan) for statement, plan in found if "TEMP B-TREE" in plan]


LOOKS = {
    "everything": Filter(),
    "ready": Filter(places=frozenset({Place.READY})),
    "delayed": Filter(places=frozenset({Place.DELAYED})),
    "leased": Filter(places=frozenset({Place.LEASED})),
    "every place": Filter(places=EVERY),
    "a code": Filter(codes=frozenset({"X"})),
    "a code of what is delayed": Filter(places=frozenset({Place.DELAYED}), codes=frozenset({"X"})),
}


@pytest.mark.parametrize("wanted", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("paged", [False, True])
def test_a_peek_reads_along_an_index(store: SqlStore, broker: BrokerStore, wanted: Filter, paged: bool) -> None:
    after = Position(0, 1, "0" * 8 + "-0000-7000-8000-" + "0" * 12) if paged else None

    with plans(store) as found:
        broker.do(Peek("work", broker.clock.now(), 100, 1 << 20, wanted, after))

    assert found
    assert walks(found) == sorts(found) == []


def test_nothing_else_that_a_broker_does_all_day_walks_or_sorts(store: SqlStore, broker: BrokerStore) -> None:
    with plans(store) as found:
        broker.stats()
        broker.send("x", ordering_key="k", request_id="r", deduplication_id="d")
        leased = broker.lease(3, request_id="p", linger=1)
        broker.lease(3, request_id="p")
        broker.settle(leased.deliveries[0], Ack())
        broker.expire()
        broker.do(verbs.Purge("work", broker.clock.now(), views.Filter(codes=frozenset({"X"})), force=True))

    assert len(found) > 10
    assert walks(found) == []
    assert sorts(found) == []


@pytest.mark.parametrize("codes", [frozenset(), frozenset({"Y"}), frozenset({"Y", "Z"})])
def test_a_step_of_a_redrive_looks_only_at_what_no_earlier_one_did(
    store: SqlStore, broker: BrokerStore, codes: frozenset[str]
) -> None:
    leased = broker.lease(4).deliveries
    broker.settle_all([(delivery, Reject("Y")) for delivery in leased])
    broker.turn(1)
    task = RedriveTask("t", "work-dead", "", codes, frozenset(), 0.0, 0, broker.clock.now())
    task = broker.do(verbs.Redrive(task, broker.clock.now(), 2)).task

    with plans(store) as found:
        broker.do(verbs.Redrive(task, broker.clock.now(), 2))

    (look, *_) = [plan for statement, plan in found if "message_id >" in statement]
    assert "deliveries USING PRIMARY KEY (queue_number=? AND message_id>?)" in look
    assert "LIST SUBQUERY" not in look
    assert walks(found) == sorts(found) == []


def test_a_planted_walk_and_a_planted_sort_are_found(store: SqlStore) -> None:
    with plans(store) as found, store._connection.begin():
        store._connection.exec_driver_sql("SELECT * FROM deliveries WHERE size = 7")
        store._connection.exec_driver_sql("SELECT * FROM deliveries WHERE queue_number = 1 ORDER BY size")

    assert len(walks(found)) == 1
    assert len(sorts(found)) == 1
