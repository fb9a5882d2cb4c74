"""Messages from PullMessages, one long poll after the other: for where a long-lived stream does not get through."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from baton.queue.v1 import consumer_service_pb2 as pb
from baton.queue.v1 import message_pb2, queue_service_pb2
from baton_client.connection import CALL_TIMEOUT, Connection
from baton_client.errors import CallError
from baton_client.outcome import as_duration
from baton_client.subscription import UNKNOWN_LEASE, Held, Subscription

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How long one poll waits: the contract allows 60 s, some proxies cut what is silent for 30.
POLL = timedelta(seconds=20)


class PullSource:
    """See `baton_client.subscription.Source`."""

    def __init__(self, connection: Connection, subscription: Subscription) -> None:
        self._connection, self._subscription = connection, subscription
        self._draining = asyncio.Event()
        self._ended, self._finished = asyncio.Event(), asyncio.Event()
        self._visibility_timeout = subscription.visibility_timeout

    @property
    def lease(self) -> float:
        """Seconds that a lease lasts."""
        return UNKNOWN_LEASE if self._visibility_timeout is None else self._visibility_timeout.total_seconds()

    async def batches(self, held: Held) -> AsyncGenerator[Sequence[message_pb2.LeasedMessage], None]:
        """Deliveries, until drained and finished; raises CallError."""
        try:
            await self._learn_lease()
            while not self._draining.is_set():
                free = self._subscription.window - held.count
                if free <= 0:
                    await self._until_draining(held.change())
                elif deliveries := await self._taken(free):
                    yield deliveries
        finally:
            self._ended.set()
        await self._finished.wait()

    async def settle(self, settlements: Sequence[message_pb2.Settlement]) -> Sequence[message_pb2.SettlementResult]:
        """Settle; raises CallError."""
        request = pb.SettleMessagesRequest(queue=self._subscription.queue, settlements=settlements)
        return (await self._connection.call(self._connection.consumer.SettleMessages, request)).results

    async def extend(self, lease_ids: Sequence[str]) -> Sequence[pb.LeaseExtension]:
        """Renew leases; raises CallError."""
        request = pb.ExtendLeasesRequest(queue=self._subscription.queue, lease_ids=lease_ids)
        if self._visibility_timeout is not None:
            request.visibility_timeout.CopyFrom(as_duration(self._visibility_timeout))
        return (await self._connection.call(self._connection.consumer.ExtendLeases, request)).extensions

    async def drain(self) -> None:
        """Begin no more polls, and wait for what the one under way brings."""
        self._draining.set()
        await self._ended.wait()

    def finish(self) -> None:
        """Everything is settled: `batches` may end."""
        self._finished.set()

    async def _learn_lease(self) -> None:
        """Learn the queue's own time, and ask for it from now on: leases are then as long as they are taken for."""
        if self._visibility_timeout is None:
            request = queue_service_pb2.GetQueueRequest(name=self._subscription.queue)
            answer = await self._until_draining(self._connection.persist(self._connection.queues.GetQueue, request))
            if answer is not None:
                self._visibility_timeout = answer.queue.consumer.visibility_timeout.ToTimedelta()

    async def _taken(self, free: int) -> Sequence[message_pb2.LeasedMessage]:
        try:
            return await self._pull(free)
        except CallError as error:
            if not error.passing or not self._draining.is_set():
                raise
            log.info("the last poll of %s was not answered: %s", self._subscription.queue, error)
            return ()

    async def _pull(self, free: int) -> Sequence[message_pb2.LeasedMessage]:
        """One poll, repeated under its own id until it is answered: a lost answer strands no lease."""
        request = self._request(free)
        method = self._connection.consumer.PullMessages
        timeout = POLL.total_seconds() + CALL_TIMEOUT
        answer = await self._until_draining(self._connection.persist(method, request, timeout=timeout))
        if answer is None:  # the poll that was given up may have been answered all the same: ask what it got
            request.ClearField("max_wait")
            request.max_messages = 1
            answer = await self._connection.persist(method, request, goes_on=lambda _: False)
        return answer.messages

    async def _until_draining(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What ``work`` comes to; None when there is to be no more work before it has ended."""
        task, draining = asyncio.create_task(work), asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait((task, draining), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            draining.cancel()
            await asyncio.gather(task, draining, return_exceptions=True)

    def _request(self, free: int) -> pb.PullMessagesRequest:
        wanted = self._subscription
        request = pb.PullMessagesRequest(
            queue=wanted.queue,
            max_messages=min(free, wanted.max_batch_size if wanted.batched else 1000),
            max_wait=as_duration(POLL),
            consumer_instance=wanted.consumer_instance,
            request_id=self._connection.new_id(),
        )
        if self._visibility_timeout is not None:
            request.visibility_timeout.CopyFrom(as_duration(self._visibility_timeout))
        return request
