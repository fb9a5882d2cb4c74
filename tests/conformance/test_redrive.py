"""Redrive tasks, in every message store."""

import pytest

from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveState, RedriveTask
from queue_service.settlement import Reject
from queue_service.storage.base import MessageStore
from queue_service.storage.verbs import DeleteQueue, Redrive
from tests.support.broker_store import BrokerStore, texts


@pytest.fixture
def broker(store: MessageStore) -> BrokerStore:
    """Four dead letters: a and b died of X, c and d of Y."""
    made = BrokerStore(store)
    made.send("a", "b", "c", "d", deduplication_id="")
    for delivery in made.lease().deliveries:
        code = "X" if delivery.message.content in {b"a", b"b"} else "Y"
        made.settle(delivery, Reject(code))
    return made


def task(broker: BrokerStore, **fields: object) -> RedriveTask:
    plain: dict[str, object] = {
        "redrive_task_id": "t",
        "queue": "work-dead",
        "destination": "",
        "codes": frozenset(),
        "message_ids": frozenset(),
        "max_messages_per_second": 0.0,
        "max_messages": 0,
        "create_time": broker.clock.now(),
    }
    return RedriveTask(**{**plain, **fields})  # type: ignore[arg-type]


def step(broker: BrokerStore, which: RedriveTask, limit: int = 100) -> RedriveTask:
    return broker.do(Redrive(which, broker.clock.now(), limit)).task


def test_dead_letters_go_back_to_their_own_queue_with_their_story(broker: BrokerStore) -> None:
    done = step(broker, task(broker))

    assert (done.state, done.moved_count) == (RedriveState.SUCCEEDED, 4)
    back = broker.lease().deliveries
    assert sorted(delivery.message.content for delivery in back) == [b"a", b"b", b"c", b"d"]
    assert {delivery.attempt for delivery in back} == {1}
    story = back[0].message.dead_letter
    assert story is not None
    assert (story.redrive_count, story.source_queue) == (1, "work")
    assert broker.stats("work-dead").totals.redriven == 4
    assert broker.stats("work-dead").ready_count == 0


def test_only_what_the_filter_means_moves(broker: BrokerStore) -> None:
    done = step(broker, task(broker, codes=frozenset({"Y"})))

    assert done.moved_count == 2
    assert sorted(texts(broker.lease(queue="work-dead"))) == ["a", "b"]


def test_a_cap_ends_the_task(broker: BrokerStore) -> None:
    done = step(broker, task(broker, max_messages=3))

    assert (done.state, done.moved_count) == (RedriveState.SUCCEEDED, 3)
    assert broker.stats("work-dead").ready_count == 1


def test_steps_go_on_where_the_last_one_ended(broker: BrokerStore) -> None:
    first = step(broker, task(broker), 3)
    second = step(broker, first, 3)

    assert (first.state, first.moved_count) == (RedriveState.RUNNING, 3)
    assert (second.state, second.moved_count) == (RedriveState.SUCCEEDED, 4)
    assert broker.store.redrive_tasks["t"] == second


def test_what_dies_after_the_task_was_made_stays(broker: BrokerStore) -> None:
    made = task(broker)
    broker.turn(1)
    broker.send("late")
    broker.settle(broker.lease().deliveries[0], Reject("X"))

    assert step(broker, made).moved_count == 4
    assert texts(broker.lease(queue="work-dead")) == ["late"]


def test_a_leased_dead_letter_stays_with_its_consumer(broker: BrokerStore) -> None:
    (held,) = broker.lease(1, queue="work-dead").deliveries

    assert step(broker, task(broker)).moved_count == 3
    assert broker.settle(held, queue="work-dead").name == "APPLIED"


def test_another_destination_may_be_named(broker: BrokerStore) -> None:
    broker.save(Queue("elsewhere"))

    step(broker, task(broker, destination="elsewhere"))

    assert len(broker.lease(queue="elsewhere").deliveries) == 4


def test_a_queue_that_is_gone_fails_the_task_and_loses_nothing(broker: BrokerStore) -> None:
    broker.do(DeleteQueue("work", force=True))

    failed = step(broker, task(broker))

    assert failed.state is RedriveState.FAILED
    assert "'work' is not there" in failed.error
    assert broker.stats("work-dead").ready_count == 4


def test_an_ended_task_moves_nothing(broker: BrokerStore) -> None:
    step(broker, task(broker, state=RedriveState.CANCELLED))

    assert broker.stats("work-dead").ready_count == 4
    assert broker.store.redrive_tasks["t"].state is RedriveState.CANCELLED
