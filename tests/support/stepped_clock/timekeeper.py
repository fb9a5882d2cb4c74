"""A consumer, and producer, that checks every delivery against the broker's own clock."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from baton.queue.v1 import consumer_service_pb2, message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceStub
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from mesh.clock import MILLISECOND, SECOND
from tests.support.running_broker import duration
from tests.support.stepped_clock.stepped_clock import SteppedClock

QUEUE = "errands"
VISIBILITY = 30
POLICY = queue_pb2.RetryPolicy(
    max_retries=100, initial_delay=duration(0.2), multiplier=2.0, max_delay=duration(1), jitter=0.2
)
_KEYS = [f"key-{number}" for number in range(10)]
_RETRIES = 3
_TIMEOUT = 10.0


def least_wait(failures: int) -> int:
    """The shortest back-off that the policy allows."""
    plain: float = min(0.2 * 2 ** (failures - 1), 1.0)
    return round(plain * 0.8 * SECOND)


@dataclass
class Findings:
    """What the deliveries showed.

    Attributes:
        early: by how many microseconds, of those that came before they were due by the broker's own clock.
        lateness: microseconds, of those in whose wait the clock was not set.
        acked: messages, in the order in which they were.
        keys: of those with an ordering key, the numbers of their messages as they were first delivered.
    """

    early: list[int] = field(default_factory=list)
    lateness: list[int] = field(default_factory=list)
    acked: list[str] = field(default_factory=list)
    keys: dict[str, list[int]] = field(default_factory=dict)


class Timekeeper:
    """Works one queue of a broker whose clock is set by `step`, but never while a send or a settlement is under way."""

    def __init__(self, channel: grpc.aio.Channel, clock: SteppedClock, chance: random.Random) -> None:
        self.queues = QueueServiceStub(channel)
        self.producer = ProducerServiceStub(channel)
        self.consumer = ConsumerServiceStub(channel)
        self._clock, self._chance = clock, chance
        self._steady = asyncio.Lock()
        self._stepped_at = 0
        self._known_at: dict[str, int] = {}
        self._due: dict[str, int] = {}
        self.found = Findings()

    async def make_queue(self, **settings: Any) -> None:
        """Make the queue."""
        consumer = {"visibility_timeout": duration(VISIBILITY), "retry_policy": POLICY, **settings}
        queue = queue_pb2.Queue(name=QUEUE, consumer=queue_pb2.ConsumerSettings(**consumer))
        await self.queues.CreateQueue(queue_service_pb2.CreateQueueRequest(queue=queue))

    async def step(self, microseconds: int) -> None:
        """Set the broker's clock."""
        async with self._steady:
            self._clock.step(microseconds)
            self._stepped_at = time.monotonic_ns()

    async def send(self, messages: Sequence[message_pb2.QueueMessage]) -> list[str]:
        """Send messages; their ids."""
        async with self._steady:
            request = producer_service_pb2.SendMessagesRequest(queue=QUEUE, messages=messages)
            begun = self._clock.now()
            results = (await self.producer.SendMessages(request, timeout=_TIMEOUT)).results
            ids = [result.message_id for result in results]
            for message_id, message in zip(ids, messages, strict=True):
                self._wait_for(message_id, begun + message.delay.ToMicroseconds())
        return ids

    def drawn(self, numbers: Sequence[int]) -> list[message_pb2.QueueMessage]:
        """Messages with a delay, or an ordering key, or neither."""
        return [self._drawn(number) for number in numbers]

    async def turn(self, *, wait: float = 0.5) -> int:
        """Pull and settle once; how many there were."""
        request = consumer_service_pb2.PullMessagesRequest(queue=QUEUE, max_messages=100, max_wait=duration(wait))
        leased = (await self.consumer.PullMessages(request, timeout=_TIMEOUT, wait_for_ready=True)).messages
        if leased:
            for each in leased:
                self._judge(each)
            async with self._steady:
                await self._settle(leased)
        return len(leased)

    async def left(self) -> int:
        """Messages in the queue."""
        stats = (await self.queues.GetQueueStats(queue_service_pb2.GetQueueStatsRequest(name=QUEUE))).stats
        return stats.ready_count + stats.delayed_count + stats.leased_count

    def _drawn(self, number: int) -> message_pb2.QueueMessage:
        message = message_pb2.QueueMessage(text=str(number))
        match self._chance.randrange(4):
            case 0:
                message.ordering_key = self._chance.choice(_KEYS)
            case 1 | 2:
                message.delay.FromMicroseconds(self._chance.randrange(1_500) * MILLISECOND)
        return message

    def _judge(self, leased: message_pb2.LeasedMessage) -> None:
        message = leased.message
        leased_at = leased.lease_expire_time.ToMicroseconds() - VISIBILITY * SECOND
        wait = leased_at - self._due.get(message.message_id, 0)
        if wait < 0:
            self.found.early.append(-wait)
        if self._known_at.get(message.message_id, 0) > self._stepped_at and not message.ordering_key:
            self.found.lateness.append(wait)
        if message.ordering_key and leased.delivery_count == 1:
            self.found.keys.setdefault(message.ordering_key, []).append(int(message.text))

    async def _settle(self, leased: Sequence[message_pb2.LeasedMessage]) -> None:
        begun = self._clock.now()
        settlements = []
        for each in leased:
            settlement = message_pb2.Settlement(lease_id=each.lease_id)
            if each.attempt <= _RETRIES and self._chance.randrange(3) == 0:
                settlement.retry.SetInParent()
                self._wait_for(each.message.message_id, begun + least_wait(each.attempt))
            else:
                settlement.ack.SetInParent()
                self.found.acked.append(each.message.message_id)
            settlements.append(settlement)
        request = consumer_service_pb2.SettleMessagesRequest(queue=QUEUE, settlements=settlements)
        results = (await self.consumer.SettleMessages(request, timeout=_TIMEOUT)).results
        applied = {message_pb2.LEASE_OUTCOME_APPLIED, message_pb2.LEASE_OUTCOME_APPLIED_LATE}
        assert {result.outcome for result in results} <= applied

    def _wait_for(self, message_id: str, due: int) -> None:
        self._due[message_id], self._known_at[message_id] = due, time.monotonic_ns()
