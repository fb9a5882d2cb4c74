"""Nodes that do the same thing at the same moment: what one of them may have, only one of them gets."""

from collections.abc import Iterator
from functools import partial
from itertools import chain

import pytest
import sqlalchemy as sa

from mesh.clock import SECOND
from mesh.errors import BatonError
from queue_service.errors import QueueNotFound
from queue_service.queue_definition import Queue
from queue_service.settlement import Ack, LeaseOutcome
from queue_service.storage import verbs
from tests.support.broker_store import BrokerStore, texts
from tests.support.postgres import emptied
from tests.support.stores_at_once import at_once, deadlocks, nodes

ROUNDS = 15


@pytest.fixture
def url(postgres: str) -> str:
    return emptied(postgres)


@pytest.fixture
def three(url: str) -> Iterator[list[BrokerStore]]:
    with nodes(url, 3) as made:
        yield made


def rows(url: str, table: str) -> int:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        found: int = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
    engine.dispose()
    return found


def test_no_message_is_leased_to_two_nodes_and_none_is_passed_over(three: list[BrokerStore]) -> None:
    sent = [str(number) for number in range(90)]
    three[0].send(*sent)

    def lease_all(node: BrokerStore) -> list[str]:
        return list(chain.from_iterable(texts(node.lease(7)) for _ in range(30)))

    found = at_once(*(lambda node=node: lease_all(node) for node in three))

    assert sorted(chain.from_iterable(found)) == sorted(sent)


def test_a_deduplication_id_lets_one_message_in_whichever_node_is_first(three: list[BrokerStore]) -> None:
    for number in range(ROUNDS):
        ids = at_once(
            *(lambda node=node, number=number: node.send("same", deduplication_id=str(number)) for node in three)
        )
        assert len({one for (one,) in ids}) == 1

    assert three[0].stats().totals.sent == ROUNDS
    assert three[1].stats().totals.deduplicated == 2 * ROUNDS


def test_a_repeated_request_has_one_answer_whichever_node_is_asked(three: list[BrokerStore]) -> None:
    for number in range(ROUNDS):
        answers = at_once(
            *(lambda node=node, number=number: node.send("a", "b", request_id=f"r{number}") for node in three)
        )
        assert answers[0] == answers[1] == answers[2]

    assert three[0].stats().totals.sent == 2 * ROUNDS


def test_an_ack_is_applied_once_whichever_nodes_get_it(three: list[BrokerStore]) -> None:
    three[0].send(*map(str, range(ROUNDS)))
    for delivery in three[0].lease(ROUNDS).deliveries:
        outcomes = at_once(*(lambda node=node, delivery=delivery: node.settle(delivery) for node in three))
        assert outcomes.count(LeaseOutcome.APPLIED) == 1

    stats = three[1].stats()
    assert (stats.totals.acked, stats.ready_count + stats.leased_count, stats.backlog_bytes) == (ROUNDS, 0, 0)


def test_a_key_has_one_message_in_the_line_and_all_come_in_order(three: list[BrokerStore]) -> None:
    at_once(*(lambda node=node: [node.send("x", ordering_key="k") for _ in range(ROUNDS)] for node in three))

    seen = []
    for _ in range(3 * ROUNDS):
        taken = [
            leased for leased in at_once(*(lambda node=node: node.lease(5) for node in three)) if leased.deliveries
        ]
        (delivery,) = chain.from_iterable(leased.deliveries for leased in taken)
        seen.append(delivery.message.message_id)
        assert three[0].settle(delivery, Ack()) is LeaseOutcome.APPLIED

    assert seen == sorted(seen)
    assert three[0].stats().delayed_count == 0


def test_what_is_sent_while_its_queue_goes_is_refused_or_goes_with_it(url: str, three: list[BrokerStore]) -> None:
    here, *others = three
    for number in range(ROUNDS):
        name = f"q{number}"
        here.save(Queue(name))

        def send(node: BrokerStore, name: str = name) -> int:
            sent = 0
            try:
                for _ in range(20):
                    node.send("x", queue=name)
                    sent += 1
            except QueueNotFound:
                pass
            return sent

        def delete(name: str) -> int:
            here.do(verbs.DeleteQueue(name, force=True))
            return 1

        at_once(
            *(lambda node=node: send(node) for node in others),
            partial(delete, name),
        )

    assert rows(url, "deliveries") == rows(url, "messages") == 0
    assert rows(url, "counters WHERE queue_number NOT IN (SELECT number FROM queues)") == 0


def test_a_sweep_by_each_node_ends_each_lease_once(url: str, three: list[BrokerStore]) -> None:
    three[0].send(*map(str, range(30)))
    assert len(three[0].lease(30, seconds=1).deliveries) == 30
    for node in three:
        node.clock.turn(2 * SECOND)

    for _ in range(3):
        at_once(*(lambda node=node: node.expire() for node in three))

    assert three[0].stats().leased_count == 0
    assert rows(url, "deliveries WHERE failed = 1") == 30


def test_deadlocks_cost_nothing_but_time(three: list[BrokerStore]) -> None:
    def work(node: BrokerStore) -> int:
        acked = 0
        for number in range(20):
            node.send(f"{id(node)}-{number}", ordering_key=str(number % 3), request_id=f"{id(node)}-{number}")
            for delivery in node.lease(3).deliveries:
                acked += node.settle(delivery) is LeaseOutcome.APPLIED
        return acked

    with deadlocks(three, every=20) as met:
        acked = sum(at_once(*(lambda node=node: work(node) for node in three)))

    assert len(met) > 10
    while deliveries := three[0].lease(10).deliveries:
        acked += sum(three[0].settle(delivery) is LeaseOutcome.APPLIED for delivery in deliveries)
    totals = three[1].stats().totals
    assert (acked, totals.sent, totals.acked) == (60, 60, 60)


def test_a_deadlock_that_never_ends_is_told_as_a_storage_that_is_away(three: list[BrokerStore]) -> None:
    with deadlocks(three[:1], every=1), pytest.raises(BatonError) as refused:
        three[0].send("x")

    assert refused.value.reason == "STORAGE_UNAVAILABLE"
    assert three[1].stats().totals.sent == 0
