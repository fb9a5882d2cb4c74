"""Every store keeps every string that protobuf carries, U+0000 and backslashes too."""

from typing import Any

import pytest

from mesh.clock import SECOND
from queue_service.message import DeadLetterReason
from queue_service.queue_definition import Pause, Queue
from queue_service.redrive import RedriveTask
from queue_service.settlement import LeaseOutcome, Reject, Retry
from queue_service.storage import verbs, views
from queue_service.storage.base import MessageStore
from tests.support.broker_store import BrokerStore

STRANGE = ("\0", "a\0b", "\\0", "\\", "\\\\0", "a\\\0", "\x01\x7f", "\u2028\ufeff", "\U0010ffff", "%s:1 {0} $1 '\"")


@pytest.fixture
def broker(store: MessageStore) -> BrokerStore:
    return BrokerStore(store)


@pytest.mark.parametrize("text", STRANGE, ids=ascii)
def test_a_message_comes_back_as_it_was_sent(broker: BrokerStore, text: str) -> None:
    fields: dict[str, Any] = {
        "content": text.encode(),
        "deduplication_id": text,
        "ordering_key": text,
    }

    broker.send("", **fields)
    (delivery,) = broker.lease(consumer_instance=text, request_id=text).deliveries
    (again,) = broker.lease(consumer_instance=text, request_id=text).deliveries

    assert {name: getattr(delivery.message, name) for name in fields} == fields
    assert again.lease == delivery.lease


@pytest.mark.parametrize("text", STRANGE, ids=ascii)
def test_a_failure_and_its_dead_letter_keep_their_words(broker: BrokerStore, text: str) -> None:
    broker.send("a", ordering_key=text)
    (first,) = broker.lease(consumer_instance=text).deliveries
    broker.settle(first, Retry(0, code=text, description=text))
    (second,) = broker.lease(consumer_instance=text).deliveries
    broker.settle(second, Reject(code=text, description=text))

    wanted = views.Filter(codes=frozenset({text}))
    (peeked,) = broker.do(verbs.Peek("work-dead", broker.clock.now(), 10, 1 << 20, wanted))

    record = peeked.message.dead_letter
    assert record is not None
    assert record.reason is DeadLetterReason.REJECTED
    assert [(f.consumer_instance, f.code, f.description) for f in record.failures] == [(text, text, text)] * 2


def test_ids_that_differ_only_in_what_is_strange_are_different(broker: BrokerStore) -> None:
    for text in STRANGE:
        broker.send("a", deduplication_id=text, request_id=text)
        broker.send("a", ordering_key=text)

    assert broker.stats().totals.deduplicated == 0
    assert len(broker.lease(limit=100).deliveries) == 2 * len(STRANGE)
    assert broker.send("a", request_id=STRANGE[0]) == broker.send("a", deduplication_id=STRANGE[0])


def test_an_ordering_key_holds_back_its_own_messages_only(broker: BrokerStore) -> None:
    for text in (*STRANGE, *STRANGE):
        broker.send(text, ordering_key=text)

    first = broker.lease(limit=100).deliveries
    outcomes = [broker.settle(delivery) for delivery in first]
    second = broker.lease(limit=100).deliveries

    assert [delivery.message.ordering_key for delivery in (*first, *second)] == [*STRANGE, *STRANGE]
    assert outcomes == [LeaseOutcome.APPLIED] * len(STRANGE)


def test_a_purge_by_code_finds_strange_codes(broker: BrokerStore) -> None:
    for text in STRANGE:
        broker.send(text)
    for delivery, text in zip(broker.lease(limit=100).deliveries, STRANGE, strict=True):
        broker.settle(delivery, Retry(SECOND, code=text))

    for text in STRANGE:
        wanted = views.Filter(codes=frozenset({text}))
        assert broker.do(verbs.Purge("work", broker.clock.now(), wanted, force=True)).count == 1


def test_pauses_and_redrive_tasks_keep_their_words(broker: BrokerStore) -> None:
    for text in STRANGE:
        task = RedriveTask(text, "work-dead", "", frozenset({text}), frozenset({text}), 0.0, 0, broker.clock.now())
        broker.do(verbs.Redrive(task, broker.clock.now()))
        broker.do(verbs.Redrive(task.moved(["\0"], finished=True), broker.clock.now()))
        broker.save(Queue("paused", pause=Pause(reason=text)))

        assert broker.store.queues["paused"].pause == Pause(reason=text)
    assert broker.store.redrive_tasks.keys() == set(STRANGE)
    assert all(task.codes == {key} and task.moved_count == 1 for key, task in broker.store.redrive_tasks.items())
