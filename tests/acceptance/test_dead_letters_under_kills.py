"""The broker is killed while it dead-letters and redrives: every message is in exactly one place, with its story."""

import asyncio
import os
import random
from collections import Counter

import grpc
import pytest

from baton.queue.v1 import consumer_service_pb2, message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceStub
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from mesh.channel import open_channel
from tests.support.eventually import eventually
from tests.support.processes import MeshProcesses

TORTURE = bool(os.environ.get("BATON_TORTURE"))
MESSAGES, KILLS = (100_000, 20) if TORTURE else (2_000, 3)
BATCH = 100
# One message in so many is rejected.
POISON = 10
QUEUE, DEAD = "errands", "errands-dead"
RUNNING = queue_pb2.RedriveTask.STATE_RUNNING

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1_800 if TORTURE else 120)]


class Desk:
    """The broker, spoken to with patience: what is safe to repeat is repeated until it is answered."""

    def __init__(self, mesh: MeshProcesses) -> None:
        self.channel = open_channel(mesh.queue.address, packages=("queue",))
        self.queues = QueueServiceStub(self.channel)
        self.producer = ProducerServiceStub(self.channel)
        self.consumer = ConsumerServiceStub(self.channel)

    async def make_queues(self) -> None:
        queue = queue_pb2.Queue(name=QUEUE)
        queue.consumer.dead_letter_queue = DEAD
        queue.consumer.visibility_timeout.FromSeconds(2)
        queue.consumer.retry_policy.max_retries = 100
        await self.queues.CreateQueue(queue_service_pb2.CreateQueueRequest(queue=queue))

    async def send_all(self) -> list[str]:
        ids: list[str] = []
        for first in range(0, MESSAGES, BATCH):
            messages = [message_pb2.QueueMessage(text=str(number)) for number in range(first, first + BATCH)]
            request = producer_service_pb2.SendMessagesRequest(queue=QUEUE, messages=messages)
            ids += [result.message_id for result in (await self.producer.SendMessages(request)).results]
        return ids

    async def pull(self, queue: str) -> list[message_pb2.LeasedMessage]:
        request = consumer_service_pb2.PullMessagesRequest(queue=queue, max_messages=BATCH)
        return list((await self.consumer.PullMessages(request, wait_for_ready=True, timeout=10)).messages)

    async def settle(self, queue: str, settlements: list[message_pb2.Settlement]) -> None:
        request = consumer_service_pb2.SettleMessagesRequest(queue=queue, settlements=settlements)
        await self.consumer.SettleMessages(request, wait_for_ready=True, timeout=10)

    async def left(self, queue: str) -> int:
        request = queue_service_pb2.GetQueueStatsRequest(name=queue)
        stats = (await self.queues.GetQueueStats(request, wait_for_ready=True)).stats
        return stats.ready_count + stats.delayed_count + stats.leased_count

    async def work_off(self, queue: str, *, rejecting: bool) -> dict[str, message_pb2.QueueMessage]:
        """Settle until nothing is left; what was acked, by its id."""
        acked: dict[str, message_pb2.QueueMessage] = {}
        while await self.left(queue):
            try:
                settlements = []
                for leased in await self.pull(queue):
                    poison = rejecting and int(leased.message.text) % POISON == 0
                    settlement = message_pb2.Settlement(lease_id=leased.lease_id)
                    if poison:
                        settlement.reject.code = "POISON"
                    else:
                        settlement.ack.SetInParent()
                        acked[leased.message.message_id] = leased.message
                    settlements.append(settlement)
                if settlements:
                    await self.settle(queue, settlements)
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
        return acked


async def kill_again_and_again(mesh: MeshProcesses, chance: random.Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.1, 0.4))
        await mesh.queue.kill()
        await mesh.start(mesh.queue)


async def test_every_message_is_in_exactly_one_place(mesh: MeshProcesses) -> None:
    chance = random.Random(7)
    await mesh.start(mesh.queue)
    desk = Desk(mesh)
    async with desk.channel:
        await desk.make_queues()
        sent = await desk.send_all()
        acked, _ = await asyncio.gather(desk.work_off(QUEUE, rejecting=True), kill_again_and_again(mesh, chance))
        dead = await desk.left(DEAD)

        task = queue_pb2.RedriveTask(queue=DEAD, max_messages_per_second=len(sent) // POISON)
        request = queue_service_pb2.CreateRedriveTaskRequest(redrive_task=task)
        made = (await desk.queues.CreateRedriveTask(request)).redrive_task
        await kill_again_and_again(mesh, chance)
        find = queue_service_pb2.GetRedriveTaskRequest(redrive_task_id=made.redrive_task_id)
        ended = await eventually(
            lambda: desk.queues.GetRedriveTask(find, wait_for_ready=True),
            lambda found: found.redrive_task.state != RUNNING,
        )
        back = await desk.work_off(QUEUE, rejecting=False)

    poisoned = {message_id for number, message_id in enumerate(sent) if number % POISON == 0}
    assert dead == len(poisoned) == ended.redrive_task.moved_count
    assert set(back) == poisoned
    assert Counter([*acked, *back]) == Counter(sent)
    assert {message.dead_letter.failures[0].code for message in back.values()} == {"POISON"}
    assert {message.dead_letter.source_queue for message in back.values()} == {QUEUE}
