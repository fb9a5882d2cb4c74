"""Looking at messages without touching them, and removing them, in every message store."""

import pytest

from mesh.clock import SECOND
from queue_service.settlement import Ack, LeaseOutcome, Reject, Retry
from queue_service.storage import sql_queues
from queue_service.storage.base import MessageStore
from queue_service.storage.selection import position
from queue_service.storage.verbs import Peek, Purge
from queue_service.storage.views import Filter, Peeked, Place, Position
from tests.support.broker_store import BrokerStore, texts


@pytest.fixture
def broker(store: MessageStore) -> BrokerStore:
    """Three ready, one delayed, one blocked by its key, one leased, one that failed and waits."""
    made = BrokerStore(store)
    made.send("leased", "failed")
    _, failed = made.lease(2, seconds=100).deliveries
    made.settle(failed, Retry(delay=50 * SECOND, code="E1"))
    made.turn(1)
    made.send("r1", "r2")
    made.send("k1", "k2", ordering_key="k")
    made.send("later", deliver_time=made.clock.now() + 20 * SECOND)
    made.turn(1)
    return made


def peek(broker: BrokerStore, limit: int = 100, after: Position | None = None, **wanted: object) -> tuple[Peeked, ...]:
    filter_ = Filter(**wanted)  # type: ignore[arg-type]
    return broker.do(Peek("work", broker.clock.now(), limit, 1 << 20, filter_, after))


def names(found: tuple[Peeked, ...]) -> list[str]:
    return [peeked.message.content.decode() for peeked in found]


def purge(broker: BrokerStore, *, force: bool = True, cancel: bool = False, **wanted: object) -> int:
    filter_ = Filter(**wanted)  # type: ignore[arg-type]
    return broker.do(Purge("work", broker.clock.now(), filter_, force, cancel)).count


class TestPeek:
    def test_it_shows_everything_in_the_order_of_delivery(self, broker: BrokerStore) -> None:
        found = peek(broker)

        assert names(found) == ["r1", "r2", "k1", "later", "failed", "k2", "leased"]
        assert [peeked.place for peeked in found] == [Place.READY] * 3 + [Place.DELAYED] * 3 + [Place.LEASED]

    def test_it_changes_nothing(self, broker: BrokerStore) -> None:
        before = broker.stats()
        peek(broker)

        assert broker.stats() == before
        assert texts(broker.lease()) == ["r1", "r2", "k1"]

    def test_pages_follow_each_other_without_a_gap(self, broker: BrokerStore) -> None:
        found: tuple[Peeked, ...] = ()
        while page := peek(broker, 2, position(found[-1].state) if found else None):
            found += page

        assert names(found) == names(peek(broker))

    def test_places_are_told_apart(self, broker: BrokerStore) -> None:
        assert names(peek(broker, places=frozenset({Place.LEASED}))) == ["leased"]
        assert names(peek(broker, places=frozenset({Place.DELAYED}))) == ["later", "failed", "k2"]
        assert names(peek(broker, places=frozenset({Place.READY, Place.LEASED}))) == ["r1", "r2", "k1", "leased"]

    def test_codes_of_the_newest_failure_are_told_apart(self, broker: BrokerStore) -> None:
        (found,) = peek(broker, codes=frozenset({"E1", "E9"}))

        assert found.state.failures[0].code == "E1"
        assert found.state.failed == 1

    def test_one_message_is_found_by_its_id_and_a_strange_id_finds_none(self, broker: BrokerStore) -> None:
        (message_id,) = broker.send("mine")

        assert names(peek(broker, message_ids=frozenset({message_id}))) == ["mine"]
        assert peek(broker, message_ids=frozenset({"no id", ""})) == ()

    def test_bytes_bound_a_page_but_never_to_nothing(self, broker: BrokerStore) -> None:
        assert len(broker.do(Peek("work", broker.clock.now(), 10, 1))) == 1


class TestPurge:
    def test_without_force_it_only_counts(self, broker: BrokerStore) -> None:
        assert purge(broker, force=False) == 7
        assert len(peek(broker)) == 7

    def test_it_takes_everything_the_leased_too(self, broker: BrokerStore) -> None:
        (leased,) = (peeked for peeked in peek(broker) if peeked.place is Place.LEASED)
        assert purge(broker) == 7

        stats = broker.stats()
        assert (stats.ready_count, stats.delayed_count, stats.leased_count, stats.backlog_bytes) == (0, 0, 0, 0)
        assert stats.totals.purged == 7
        assert peek(broker) == ()
        assert leased.state.leased

    def test_a_purged_lease_answers_that_the_message_is_gone(self, store: MessageStore) -> None:
        broker = BrokerStore(store)
        broker.send("a")
        (delivery,) = broker.lease().deliveries
        purge(broker)

        assert broker.settle(delivery, Ack()) is LeaseOutcome.MESSAGE_GONE

    def test_only_what_the_filter_means_goes(self, broker: BrokerStore) -> None:
        assert purge(broker, codes=frozenset({"E1"})) == 1
        assert purge(broker, sent_before=broker.clock.now() - 1_500_000) == 1
        assert names(peek(broker)) == ["r1", "r2", "k1", "later", "k2"]

    def test_a_cancel_leaves_the_leased_alone(self, broker: BrokerStore) -> None:
        ids = frozenset(peeked.message.message_id for peeked in peek(broker, places=frozenset({Place.LEASED})))

        assert purge(broker, cancel=True, message_ids=ids) == 0
        assert broker.stats().totals.cancelled == 0
        assert purge(broker, cancel=True) == 6
        assert broker.stats().totals.cancelled == 6

    def test_a_dead_letter_is_found_by_the_code_it_died_of(self, store: MessageStore) -> None:
        broker = BrokerStore(store)
        broker.send("a", "b")
        for delivery, code in zip(broker.lease().deliveries, ("X", "Y"), strict=True):
            broker.settle(delivery, Reject(code))

        found = broker.do(Peek("work-dead", broker.clock.now(), 10, 1 << 20, Filter(codes=frozenset({"Y"}))))

        assert names(found) == ["b"]


def test_the_count_of_many_delayed_messages_is_a_second_old_at_most(
    store: MessageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_queues, "MANY", 5)
    broker = BrokerStore(store)
    broker.send(*"abcdef", deliver_time=broker.clock.now() + 10 * SECOND)
    assert (broker.stats().delayed_count, broker.stats().ready_count) == (6, 0)

    broker.turn(10)
    broker.send("now")

    stats = broker.stats()
    assert (stats.delayed_count, stats.ready_count, stats.totals.sent) == (0, 7, 7)


def test_states_are_looked_for_in_the_order_in_which_messages_stand(store: MessageStore) -> None:
    broker = BrokerStore(store)
    broker.send("keyed", "behind", ordering_key="k")
    broker.send("later", deliver_time=broker.clock.now() + 10 * SECOND)
    broker.send("plain")
    broker.lease(1)

    def found(*places: Place, limit: int = 10, after: Position | None = None) -> list[str]:
        verb = Peek("work", broker.clock.now(), limit, 1 << 20, Filter(places=frozenset(places)), after)
        return [peeked.message.content.decode() for peeked in broker.do(verb)]

    assert found() == ["plain", "later", "behind", "keyed"]
    assert found(Place.DELAYED) == ["later", "behind"]
    assert found(Place.LEASED, Place.READY) == ["plain", "keyed"]
    assert found(Place.LEASED, Place.DELAYED, Place.READY, limit=3) == ["plain", "later", "behind"]
    (first,) = broker.do(Peek("work", broker.clock.now(), 1, 1 << 20, Filter(places=frozenset({Place.DELAYED}))))
    assert found(Place.DELAYED, after=position(first.state)) == ["behind"]
