"""Nodes that err about the time, are taken for dead, or never hear what became of a commit."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from psycopg import errors

from mesh.clock import SECOND, SystemClock
from queue_service.nodes.picture import Note
from queue_service.settlement import LeaseOutcome
from queue_service.storage import verbs
from queue_service.storage.postgresql_sharing import NODE_LOCK, NotANode, OutcomeUnknown
from tests.support.broker_store import BrokerStore, texts
from tests.support.postgres import emptied
from tests.support.stores_at_once import StoreOfNode, nodes

MINUTE = 60 * SECOND


@pytest.fixture
def url(postgres: str) -> str:
    return emptied(postgres)


@pytest.fixture
def pair(url: str) -> Iterator[list[BrokerStore]]:
    with nodes(url, 2) as made:
        yield made


@pytest.fixture
def timed(url: str) -> Iterator[list[BrokerStore]]:
    """Nodes that go by the database's clock, and begin with the right time."""
    with nodes(url, 2, keeps_time=True) as made:
        for node in made:
            node.clock.turn(SystemClock().now() - node.clock.now())
        yield made


def store_of(node: BrokerStore) -> StoreOfNode:
    assert isinstance(node.store, StoreOfNode)
    return node.store


def cut_off(node: BrokerStore) -> None:
    """Close the connection of its heart, and wait until the server has noticed."""
    store = store_of(node)
    store.membership.close()
    held = f"SELECT count(*) FROM pg_locks WHERE classid = {NODE_LOCK} AND objid = {store.sharing.node}"
    with store.sharing.engine.connect() as connection:
        for _ in range(1_000):
            if not connection.exec_driver_sql(held).scalar_one():
                return
            time.sleep(0.01)
    raise AssertionError("the server keeps the lock of a node whose connection was closed")


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_node_whose_clock_errs_leases_for_as_long_as_it_is_asked_to(timed: list[BrokerStore], minutes: int) -> None:
    wrong, right = timed
    right.send("a")
    begun = SystemClock().now()
    wrong.clock.turn(minutes * MINUTE)

    (delivery,) = wrong.lease(seconds=30).deliveries

    assert begun + 29 * SECOND < delivery.lease_expire_time < begun + 60 * SECOND
    assert not right.lease().deliveries
    assert right.settle(delivery) is LeaseOutcome.APPLIED


def test_a_node_whose_clock_is_ahead_ends_no_lease_and_no_message_early(timed: list[BrokerStore]) -> None:
    wrong, right = timed
    right.send("a")
    assert right.lease(seconds=30).deliveries
    wrong.clock.turn(120 * MINUTE)

    wrong.expire()

    assert right.stats().leased_count == 1
    assert not wrong.lease().deliveries


def test_a_node_that_was_struck_off_changes_nothing_any_more(pair: list[BrokerStore]) -> None:
    dead, other = pair
    dead.send("a", "b")
    (held,) = dead.lease(1, attached=True).deliveries
    number, seen_at = store_of(dead).sharing.node, 1 << 62
    cut_off(dead)

    assert store_of(other).membership.bury(number, seen_at)

    with pytest.raises(NotANode):
        dead.send("c")
    with pytest.raises(NotANode):
        store_of(dead).membership.beat(Note())
    assert other.stats().totals.sent == 2
    other.do(verbs.Expire("work", other.clock.now(), restarted=True))
    assert sorted(texts(other.lease())) == ["a", "b"]
    assert other.settle(held) is not LeaseOutcome.APPLIED


def test_a_node_whose_connection_stands_is_not_struck_off(pair: list[BrokerStore]) -> None:
    silent, other = pair
    silent.send("a")
    (held,) = silent.lease(attached=True).deliveries

    assert not store_of(other).membership.bury(store_of(silent).sharing.node, 1 << 62)

    other.do(verbs.Expire("work", other.clock.now(), restarted=True))
    assert not other.lease().deliveries
    assert silent.settle(held) is LeaseOutcome.APPLIED


def test_a_node_that_comes_back_to_its_place_is_not_held_up_by_itself(url: str, pair: list[BrokerStore]) -> None:
    before, other = pair
    before.send("a")
    assert before.lease(attached=True).deliveries
    store = store_of(before)
    cut_off(before)

    store.sharing.node = store.membership.join()

    other.do(verbs.Expire("work", other.clock.now(), restarted=True))
    assert texts(before.lease()) == ["a"]
    assert before.stats().totals.sent == 1


def test_counts_of_nodes_that_are_gone_are_kept(url: str) -> None:
    for _ in range(3):
        with nodes(url, 1) as (node,):
            node.send("a", "b")
            store_of(node).membership.leave()

    with nodes(url, 1) as (node,):
        assert node.stats().totals.sent == node.stats().ready_count == 6
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT max(node), count(*) FROM counters").one() == (0, 2)
        engine.dispose()


def test_a_commit_whose_answer_is_lost_is_unknown_and_its_repeat_has_the_first_answer(
    pair: list[BrokerStore],
) -> None:
    here, other = pair
    engine = store_of(here).sharing.engine

    def lose(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement == "COMMIT":
            cursor.execute(statement)
            raise errors.ConnectionFailure("planted")

    sa.event.listen(engine, "before_cursor_execute", lose)
    with pytest.raises(OutcomeUnknown) as unknown:
        here.send("a", request_id="r")
    sa.event.remove(engine, "before_cursor_execute", lose)

    assert unknown.value.code == "UNAVAILABLE"
    stored = [peeked.state.message_id for peeked in other.do(verbs.Peek("work", 0, 10, 1 << 20))]
    assert here.send("a", request_id="r") == other.send("a", request_id="r") == stored
    assert other.stats().totals.sent == 1


def test_a_node_reads_what_another_changed_before_it_does_anything(pair: list[BrokerStore]) -> None:
    here, other = pair
    queue = here.store.queues["work"]
    version = here.store.version

    other.do(verbs.DeleteQueue("work", force=False))
    here.stats("work-dead")

    assert here.store.version > version
    assert "work" not in here.store.queues
    assert queue.name == "work"
