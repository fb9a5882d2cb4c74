"""Redrive tasks over a real server."""

import asyncio
from pathlib import Path

import grpc

from baton.queue.v1 import message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from mesh.clock import SECOND
from mesh.database import sqlite_url
from mesh.status import read_error
from queue_service.redrive import RedriveTask
from queue_service.storage.sql import SqlStore
from queue_service.storage.verbs import Redrive
from tests.support.failing_store import FailingStore, HeldStore
from tests.support.fake_clock import FakeClock
from tests.support.refusals import refused, violations
from tests.support.running_broker import RunningBroker, duration, running_broker

Task = queue_pb2.RedriveTask


async def bury(broker: RunningBroker, count: int, code: str = "BAD") -> None:
    """Send messages and reject them all."""
    await broker.send(*(str(number) for number in range(count)))
    reject = message_pb2.Reject(code=code)
    leases = [leased.lease_id for leased in await broker.pull(max_messages=1000)]
    await broker.settle(*(message_pb2.Settlement(lease_id=lease_id, reject=reject) for lease_id in leases))


async def create(broker: RunningBroker, *, validate_only: bool = False, **fields: object) -> Task:
    task = Task(queue="dead", **fields)  # type: ignore[arg-type]
    request = queue_service_pb2.CreateRedriveTaskRequest(redrive_task=task, validate_only=validate_only)
    return (await broker.queues.CreateRedriveTask(request)).redrive_task


async def get(broker: RunningBroker, task_id: str) -> Task:
    request = queue_service_pb2.GetRedriveTaskRequest(redrive_task_id=task_id)
    return (await broker.queues.GetRedriveTask(request)).redrive_task


async def ended(broker: RunningBroker, task_id: str) -> Task:
    async with asyncio.timeout(20):
        while (task := await get(broker, task_id)).state == Task.STATE_RUNNING:
            pass
    return task


async def test_dead_letters_go_back_and_wake_who_waits(broker: RunningBroker) -> None:
    await broker.create(dead_letter_queue="dead")
    await bury(broker, 250)
    waiting = asyncio.create_task(broker.pull(wait=30, max_messages=1000))

    made = await create(broker)
    task = await ended(broker, made.redrive_task_id)

    assert (made.state, made.total_count) == (Task.STATE_RUNNING, 250)
    assert (task.state, task.moved_count) == (Task.STATE_SUCCEEDED, 250)
    (first, *_) = await waiting
    assert (first.attempt, first.message.dead_letter.redrive_count) == (1, 1)
    assert (await broker.stats("dead")).redriven_total == 250


async def test_a_dry_run_counts_and_moves_nothing(broker: RunningBroker) -> None:
    await broker.create(dead_letter_queue="dead")
    await bury(broker, 3, "X")
    await bury(broker, 2, "Y")

    counted = await create(broker, validate_only=True, codes=["Y"])

    assert counted.total_count == 2
    assert (await broker.stats("dead")).ready_count == 5


async def test_one_runs_at_a_time_and_can_be_cancelled(broker: RunningBroker) -> None:
    await broker.create(dead_letter_queue="dead")
    await bury(broker, 5)
    slow = await create(broker, max_messages_per_second=0.5, redrive_task_id="slow")

    rival = await refused(create(broker))
    same = await refused(create(broker, redrive_task_id="slow"))
    request = queue_service_pb2.CancelRedriveTaskRequest(redrive_task_id=slow.redrive_task_id)
    cancelled = (await broker.queues.CancelRedriveTask(request)).redrive_task
    again = (await broker.queues.CancelRedriveTask(request)).redrive_task

    assert (rival.code(), read_error(rival).reason) == (grpc.StatusCode.ABORTED, "IN_PROGRESS")
    assert read_error(same).reason == "REDRIVE_TASK_EXISTS"
    assert cancelled.state == again.state == Task.STATE_CANCELLED
    assert cancelled.moved_count + (await broker.stats("dead")).ready_count == 5


async def test_a_task_goes_on_after_a_restart(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "queue.db")
    async with running_broker(SqlStore(url)) as broker:
        await broker.create(dead_letter_queue="dead")
        await bury(broker, 4)
        await create(broker, max_messages_per_second=2, redrive_task_id="t")

    async with running_broker(SqlStore(url)) as broker:
        task = await ended(broker, "t")

        assert (task.state, task.moved_count, task.total_count) == (Task.STATE_SUCCEEDED, 4, 4)
        assert (await broker.stats()).ready_count == 4


async def test_tasks_are_listed(broker: RunningBroker) -> None:
    await broker.create(dead_letter_queue="dead")
    for name in "bca":
        await ended(broker, (await create(broker, redrive_task_id=name)).redrive_task_id)
    listing = broker.queues.ListRedriveTasks

    first = await listing(queue_service_pb2.ListRedriveTasksRequest(queue="dead", page_size=2))
    second = await listing(queue_service_pb2.ListRedriveTasksRequest(page_size=2, page_token=first.next_page_token))
    none = await listing(queue_service_pb2.ListRedriveTasksRequest(queue="work"))

    assert [task.redrive_task_id for task in (*first.redrive_tasks, *second.redrive_tasks)] == ["a", "b", "c"]
    assert not second.next_page_token
    assert not none.redrive_tasks


async def test_bad_tasks_are_refused(broker: RunningBroker) -> None:
    unknown = await refused(get(broker, "nowhere"))
    no_queue = await refused(create(broker))
    negative = await refused(create(broker, max_messages=-1))

    assert read_error(unknown).reason == "REDRIVE_TASK_NOT_FOUND"
    assert read_error(no_queue).reason == "QUEUE_NOT_FOUND"
    assert violations(negative) == {"redrive_task.max_messages": "must be at least 0, is -1"}


async def test_a_task_whose_destination_goes_fails_and_says_so_with_details(broker: RunningBroker) -> None:
    await broker.create(dead_letter_queue="dead")
    await bury(broker, 3)
    await broker.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name="work", force=True))

    task = await ended(broker, (await create(broker)).redrive_task_id)

    assert (task.state, task.moved_count) == (Task.STATE_FAILED, 0)
    assert "'work' is not there" in task.error.message
    assert next(detail.type_url for detail in task.error.details) == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (await broker.stats("dead")).ready_count == 3


async def test_what_was_never_dead_lettered_needs_a_destination(broker: RunningBroker) -> None:
    await broker.create("dead")
    await broker.create("other")
    await broker.send("a", queue="dead")

    lost = await ended(broker, (await create(broker)).redrive_task_id)
    sent = await ended(broker, (await create(broker, destination="other")).redrive_task_id)

    assert "was never dead-lettered" in lost.error.message
    assert (sent.state, sent.moved_count) == (Task.STATE_SUCCEEDED, 1)
    assert [leased.message.text for leased in await broker.pull("other")] == ["a"]


async def test_a_redrive_makes_nothing_early(broker: RunningBroker) -> None:
    await broker.create("dead")
    await broker.create("other")
    message = message_pb2.QueueMessage(text="a", delay=duration(3600))
    await broker.producer.SendMessage(producer_service_pb2.SendMessageRequest(queue="dead", message=message))

    task = await ended(broker, (await create(broker, destination="other")).redrive_task_id)

    stats = await broker.stats("other")
    assert (task.moved_count, stats.ready_count, stats.delayed_count) == (1, 0, 1)


async def test_a_queue_is_not_emptied_into_itself(broker: RunningBroker) -> None:
    await broker.create("dead")

    error = await refused(create(broker, destination="dead"))

    assert violations(error) == {
        "redrive_task.destination": "must be another queue than the one that is emptied, is 'dead'"
    }


async def test_a_task_ends_with_its_queue_and_leaves_the_next_of_that_name_alone(broker: RunningBroker) -> None:
    await broker.create(dead_letter_queue="dead")
    await bury(broker, 5)
    made = await create(broker, max_messages_per_second=1)
    await broker.create("work2")
    update = queue_pb2.Queue(name="work", consumer=queue_pb2.ConsumerSettings(dead_letter_queue="work2"))
    await broker.queues.UpdateQueue(queue_service_pb2.UpdateQueueRequest(queue=update))
    await broker.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name="dead", force=True))
    await broker.create("dead")
    await broker.send("new", queue="dead")

    task = await ended(broker, made.redrive_task_id)

    assert (task.state, task.error.message) == (Task.STATE_FAILED, "queue 'dead' was deleted")
    assert (await broker.stats("dead")).ready_count == 1


async def test_a_task_that_could_not_be_stored_stands_in_nobodys_way() -> None:
    store = FailingStore()
    async with running_broker(store) as broker:
        await broker.create(dead_letter_queue="dead")
        await bury(broker, 1)
        store.failing = Redrive
        failed = await refused(create(broker, redrive_task_id="t"))
        store.failing = None

        again = await ended(broker, (await create(broker, redrive_task_id="t")).redrive_task_id)

    assert read_error(failed).reason == "STORAGE_UNAVAILABLE"
    assert (again.state, again.moved_count) == (Task.STATE_SUCCEEDED, 1)


async def test_a_task_that_is_stored_goes_on_though_its_caller_has_gone() -> None:
    store = HeldStore()
    store.hold(Redrive)
    async with running_broker(store) as broker:
        await broker.create(dead_letter_queue="dead")
        await bury(broker, 1)
        redriver = broker.application._redriver
        wanted = RedriveTask("t", "dead", "", frozenset(), frozenset(), 0.0, 0, 0)
        call = asyncio.create_task(redriver.create(wanted))
        await asyncio.to_thread(store.reached.wait, 10)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        store.let_go.set()

        task = await ended(broker, "t")

    assert (task.state, task.moved_count) == (Task.STATE_SUCCEEDED, 1)


async def test_a_task_whose_end_cannot_be_stored_at_once_ends_when_it_can() -> None:
    store, clock = FailingStore(), FakeClock()
    async with running_broker(store, clock=clock) as broker:
        await broker.create(dead_letter_queue="dead")
        await bury(broker, 3)
        made = await create(broker, max_messages_per_second=1)
        await broker.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name="work", force=True))
        store.failing = Redrive
        await broker.queues.DeleteQueue(queue_service_pb2.DeleteQueueRequest(name="dead", force=True))
        assert (await get(broker, made.redrive_task_id)).state == Task.STATE_RUNNING

        store.failing = None
        async with asyncio.timeout(20):
            while (task := await get(broker, made.redrive_task_id)).state == Task.STATE_RUNNING:
                clock.turn(SECOND)

    assert (task.state, task.error.message) == (Task.STATE_FAILED, "queue 'dead' was deleted")
