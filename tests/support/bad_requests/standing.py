"""A broker with something of everything in it, and all that a caller can see of it."""

from collections.abc import Sequence

from google.protobuf.message import Message

from baton.queue.v1 import consumer_service_pb2, message_pb2, queue_pb2
from baton.queue.v1 import queue_service_pb2 as pb
from tests.support.running_broker import RunningBroker, duration


async def furnish(broker: RunningBroker) -> None:
    """Queues pulled, pushed, paused and dead-lettered to; messages ready, leased and dead; a task that ended."""
    await broker.create("work", dead_letter_queue="dead", visibility_timeout=duration(3_600))
    await broker.create("empty")
    push = queue_pb2.PushTarget(address="127.0.0.1:1", batch=queue_pb2.BatchCall())
    await broker.create("pushed", push=push)
    await broker.send("rejected", "leased", "ready")
    rejected, _ = await broker.pull(max_messages=2)
    reject = message_pb2.Reject(code="BAD", description="no good")
    await broker.settle(message_pb2.Settlement(lease_id=rejected.lease_id, reject=reject))
    task = queue_pb2.RedriveTask(redrive_task_id="done", queue="dead", codes=["NONE"])
    await broker.queues.CreateRedriveTask(pb.CreateRedriveTaskRequest(redrive_task=task))
    while (await _tasks(broker))[0].state == queue_pb2.RedriveTask.STATE_RUNNING:
        pass
    await broker.queues.PauseQueue(pb.PauseQueueRequest(name="empty", reason="holidays"))


async def everything(broker: RunningBroker) -> list[Message]:
    """What the broker shows of itself, what only time changes left out."""
    seen: list[Message] = list(await _tasks(broker))
    for queue in (await broker.queues.ListQueues(pb.ListQueuesRequest())).queues:
        queue.ClearField("push_status")
        stats = await broker.stats(queue.name)
        stats.ClearField("observe_time")
        stats.ClearField("oldest_ready_age")
        peeked = await broker.queues.PeekMessages(pb.PeekMessagesRequest(name=queue.name, page_size=1_000))
        seen += [queue, stats, peeked]
    return seen


async def serves(broker: RunningBroker) -> None:
    """Fail unless a good call goes through, from the send to the ack."""
    await broker.create("good")
    await broker.send("a", queue="good")
    (leased,) = await broker.pull("good")
    ack = message_pb2.Settlement(lease_id=leased.lease_id, ack=message_pb2.Ack())
    outcomes = await broker.settle(ack, queue="good")
    await broker.queues.DeleteQueue(pb.DeleteQueueRequest(name="good"))
    assert outcomes == [message_pb2.LEASE_OUTCOME_APPLIED]


def opening(queue: str = "empty") -> consumer_service_pb2.StreamMessagesRequest:
    """What a sound stream begins with."""
    request = consumer_service_pb2.StreamMessagesRequest
    return request(sequence=1, open=request.Open(queue=queue, max_batch_timeout=duration(0)))


async def _tasks(broker: RunningBroker) -> Sequence[queue_pb2.RedriveTask]:
    return (await broker.queues.ListRedriveTasks(pb.ListRedriveTasksRequest())).redrive_tasks
