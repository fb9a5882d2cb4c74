"""A storage that fails, and may have done what it was asked all the same: nothing is stranded by it."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from baton.queue.v1 import message_pb2, queue_pb2, queue_service_pb2
from mesh.errors import Unavailable
from queue_service.redrive import RedriveState
from queue_service.storage import verbs
from queue_service.storage.memory import MemoryStore
from tests.support.failing_store import FailingStore
from tests.support.refusals import refused
from tests.support.running_broker import running_broker

Task = queue_pb2.RedriveTask


class LosingStore(MemoryStore):
    """Does settlements, and then cannot say so."""

    def __init__(self) -> None:
        super().__init__()
        self.losing = False
        self.looked = threading.Event()

    def apply(self, batch: Sequence[verbs.Verb[Any]]) -> list[Any]:
        results = super().apply(batch)
        if any(isinstance(verb, verbs.Lease) for verb in batch):
            self.looked.set()
        if self.losing and any(isinstance(verb, verbs.Settle) for verb in batch):
            raise Unavailable("STORAGE_UNAVAILABLE", "the answer was lost")
        return results


async def test_a_message_that_came_back_without_an_answer_finds_who_waits_for_it() -> None:
    store = LosingStore()
    async with running_broker(store) as broker:
        await broker.create()
        await broker.send("hello")
        (given,) = await broker.pull()
        store.looked.clear()
        waiting = asyncio.create_task(broker.pull(wait=30))
        await asyncio.to_thread(store.looked.wait, 10)
        store.losing = True

        await refused(broker.settle(message_pb2.Settlement(lease_id=given.lease_id, release=message_pb2.Release())))

        async with asyncio.timeout(10):
            (leased,) = await waiting
    assert leased.message.text == "hello"


async def test_a_redrive_whose_cancelling_could_not_be_stored_goes_on_and_can_be_cancelled_again() -> None:
    store = FailingStore()
    async with running_broker(store) as broker:
        await broker.create(dead_letter_queue="dead")
        await broker.send("1", "2", queue="dead")
        task = Task(queue="dead", destination="work", max_messages_per_second=1)
        made = await broker.queues.CreateRedriveTask(queue_service_pb2.CreateRedriveTaskRequest(redrive_task=task))
        task_id = made.redrive_task.redrive_task_id
        cancel = queue_service_pb2.CancelRedriveTaskRequest(redrive_task_id=task_id)
        redriver = broker.application._redriver

        store.failing = verbs.Redrive
        await refused(broker.queues.CancelRedriveTask(cancel))
        goes_on = task_id in redriver._loops
        store.failing = None
        again = await broker.queues.CancelRedriveTask(cancel)

    assert goes_on
    assert again.redrive_task.state == Task.STATE_CANCELLED
    assert redriver.get(task_id).state is RedriveState.CANCELLED
