"""Ordering keys, in every message store."""

import pytest

from mesh.clock import SECOND
from queue_service.settlement import Ack, Reject, Release, Retry
from queue_service.storage.base import MessageStore
from queue_service.storage.verbs import Purge
from queue_service.storage.views import Filter
from tests.support.broker_store import BrokerStore, texts


@pytest.fixture
def broker(store: MessageStore) -> BrokerStore:
    made = BrokerStore(store)
    made.send("a1", "a2", "a3", ordering_key="a")
    made.send("b1", ordering_key="b")
    made.send("free")
    return made


def test_one_message_of_a_key_is_in_flight_at_a_time(broker: BrokerStore) -> None:
    assert texts(broker.lease()) == ["a1", "b1", "free"]
    assert broker.lease().deliveries == ()


def test_an_ack_lets_the_next_of_its_key_go(broker: BrokerStore) -> None:
    first = broker.lease(1).deliveries[0]

    settled = broker.settle_all([(first, Ack())])

    assert settled.ready_at == {"work": broker.clock.now()}
    assert sorted(texts(broker.lease())) == ["a2", "b1", "free"]


def test_a_retry_holds_up_its_key_and_no_other(broker: BrokerStore) -> None:
    a1, b1, _ = broker.lease().deliveries
    broker.send("b2", ordering_key="b")
    broker.settle_all([(a1, Retry(delay=10 * SECOND)), (b1, Ack())])

    assert texts(broker.lease()) == ["b2"]
    broker.turn(10)
    assert texts(broker.lease()) == ["a1"]


def test_a_release_keeps_the_order(broker: BrokerStore) -> None:
    a1 = broker.lease().deliveries[0]
    broker.settle(a1, Release())

    assert texts(broker.lease()) == ["a1"]


def test_a_dead_letter_lets_its_key_go_on_and_keeps_the_order_where_it_goes(store: MessageStore) -> None:
    broker = BrokerStore(store)
    broker.send("a1", "a2", "a3", ordering_key="a")
    for _ in range(2):
        broker.settle(broker.lease().deliveries[0], Reject("BAD"))

    assert texts(broker.lease()) == ["a3"]
    (dead,) = broker.lease(queue="work-dead").deliveries
    broker.settle(dead, queue="work-dead")
    assert texts(broker.lease(queue="work-dead")) == ["a2"]


def test_an_expired_head_lets_its_key_go_on_and_so_does_one_behind_it(store: MessageStore) -> None:
    broker = BrokerStore(store)
    soon = broker.clock.now() + 60 * SECOND
    broker.send("k1", "k2", ordering_key="k", expire_time=soon)
    broker.send("k3", "k4", ordering_key="k")
    broker.turn(60)

    settled = broker.expire()

    assert len(settled.given_up) == 2
    assert texts(broker.lease()) == ["k3"]
    stats = broker.stats()
    assert (stats.ready_count, stats.delayed_count, stats.leased_count) == (0, 1, 1)


def test_a_purged_or_cancelled_head_lets_its_key_go_on(broker: BrokerStore) -> None:
    head = broker.lease(1).deliveries[0].message.message_id

    settled = broker.do(Purge("work", broker.clock.now(), Filter(message_ids=frozenset({head}))))

    assert settled.ready_at == {"work": broker.clock.now()}
    assert "a2" in texts(broker.lease())


def test_a_key_is_free_again_when_its_last_message_is_gone(broker: BrokerStore) -> None:
    _, b1, _ = broker.lease().deliveries
    broker.settle(b1)

    broker.send("b2", ordering_key="b")

    assert texts(broker.lease()) == ["b2"]


def test_what_waits_for_its_key_counts_as_delayed(broker: BrokerStore) -> None:
    stats = broker.stats()

    assert (stats.ready_count, stats.delayed_count) == (3, 2)
