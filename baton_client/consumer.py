"""A consumer at work: takes what its source brings, lets the handler work on it, and says what became of it.

Stopping is a written procedure: ask for no more, give back what has not been begun, let what has been begun end, give
back what does not within the grace, wait until the broker has every settlement, and only then end the stream.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

from baton.queue.v1 import message_pb2 as pb
from baton_client.connection import Connection
from baton_client.errors import BodyError
from baton_client.handler import Handler
from baton_client.message import Batch, Message, Settling
from baton_client.outcome import Ack, Outcome, Release, Retry, outcome_of, said_by
from baton_client.pull_source import PullSource
from baton_client.renewer import Renewer
from baton_client.settler import Settler
from baton_client.stream_source import StreamSource
from baton_client.subscription import Source, Subscription

log = logging.getLogger(__name__)

#: What a message whose body the handler does not take is rejected with: no repeat would do better.
BODY_INVALID = "BODY_INVALID"
#: What a handler that took too long has failed with.
TIMEOUT = "TIMEOUT"
#: Seconds for the broker to answer the last settlements, and to end the stream; and those of one that is cut short.
FLUSH_TIMEOUT = 10.0
CUT_TIMEOUT = 1.0


class Consumer:
    """One handler on one queue.

    Args:
        connection: the broker.
        subscription: what is wanted of the queue.
        handler: what works on it.
    """

    def __init__(self, connection: Connection, subscription: Subscription, handler: Handler) -> None:
        self._subscription, self._handler = subscription, handler
        source = StreamSource if subscription.mode == "stream" else PullSource
        self._source: Source = source(connection, subscription)
        self._wait_after = connection.wait_after
        self._free = asyncio.Semaphore(subscription.concurrency)
        self._work: set[asyncio.Task[None]] = set()
        self._begun: set[asyncio.Task[None]] = set()
        self._next: list[Message[Any]] = []
        self._stopping = self._cutting = False

    async def run(self, stop: asyncio.Event, grace: float) -> None:
        """Consume until ``stop`` is set, then drain. To cancel it is to drain with no grace.

        Args:
            stop: when to stop.
            grace: seconds that work which has been begun gets to end.

        Raises:
            CallError: the queue is not there, is pushed, or may not be consumed.
        """
        self._settler = Settler(self._source.settle, self._wait_after)
        self._renewer = Renewer(self._source.extend, lambda: self._source.lease)
        taking = asyncio.create_task(self._take(), name=f"consumer of {self._subscription.queue}")
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((taking, stopping), return_when=asyncio.FIRST_COMPLETED)
            self._stopping = True
            await self._source.drain()
            for task in self._work - self._begun:
                task.cancel()
            if self._work:
                await asyncio.wait(self._work, timeout=grace)
            await self._end(taking, FLUSH_TIMEOUT)
            if taking.done():
                taking.result()
        except asyncio.CancelledError:
            self._stopping = True
            with suppress(TimeoutError):
                async with asyncio.timeout(CUT_TIMEOUT):
                    await self._source.drain()
            await self._end(taking, CUT_TIMEOUT)
            raise
        finally:
            taking.cancel()
            stopping.cancel()
            await asyncio.gather(taking, stopping, return_exceptions=True)
            await self._renewer.close()
            await self._settler.close()

    async def _take(self) -> None:
        async with aclosing(self._source.batches(self._renewer)) as batches:
            async for deliveries in batches:
                self._renewer.hold([leased.lease_id for leased in deliveries])
                for leased in deliveries:
                    self._queue(self._message(leased))

    def _queue(self, message: Message[Any]) -> None:
        """Put a message where it waits for its turn: in the batch that does so, while that has room.

        A handler that settles one message after the other lets the broker send as many, one by one.
        """
        if 0 < len(self._next) < self._subscription.at_once:
            self._next.append(message)
            return
        messages = self._next = [message]
        task = asyncio.create_task(self._work_on(messages), name=f"work on {self._subscription.queue}")
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        task.add_done_callback(self._begun.discard)
        # A task that is cancelled before its first step never runs; what it was to work on goes back all the same.
        task.add_done_callback(lambda _: self._give_back(messages))

    def _give_back(self, messages: list[Message[Any]]) -> None:
        self._complete(messages)
        self._settle_rest(self._held(messages), Release())

    def _held(self, messages: list[Message[Any]]) -> list[Message[Any]]:
        """Those whose leases are not known to be lost; the others are somebody else's work by now."""
        return [message for message in messages if self._renewer.holds(message.lease_id)]

    def _complete(self, messages: list[Message[Any]]) -> None:
        """Let nothing more join these."""
        if self._next is messages:
            self._next = []

    async def _end(self, taking: "asyncio.Task[None]", within: float) -> None:
        """Cut off what is still being worked on, see every settlement through, and let the source end."""
        self._cutting = True
        for task in self._work:
            task.cancel()
        if self._work:
            _, deaf = await asyncio.wait(self._work, timeout=within)
            if deaf:
                log.warning("%d handlers of %s do not heed their cancellation", len(deaf), self._subscription.queue)
        try:
            async with asyncio.timeout(within):
                await self._settler.flush()
        except TimeoutError:
            log.warning("the broker has not answered the last settlements of %s", self._subscription.queue)
        self._source.finish()
        await asyncio.wait((taking,), timeout=within)

    async def _work_on(self, messages: list[Message[Any]]) -> None:
        """One message, or one batch: whatever happens, each of its messages is settled in the end."""
        async with self._free:
            self._complete(messages)
            messages[:] = self._held(messages)
            if messages and not self._stopping and (task := asyncio.current_task()) is not None:
                self._begun.add(task)
                self._settle_rest(messages, await self._outcome(messages))

    def _settle_rest(self, messages: Sequence[Message[Any]], outcome: Outcome) -> None:
        rest = Batch(self._subscription.queue, messages)
        try:
            rest.settle_rest(outcome)
        except Exception as error:  # an outcome of the caller's own making, or one with something odd in it
            log.warning("an outcome of %s cannot be sent", self._subscription.queue, exc_info=error)
            rest.settle_rest(outcome_of(error))

    async def _outcome(self, messages: Sequence[Message[Any]]) -> Outcome:
        """What is to become of what the handler says nothing of."""
        readable = [message for message in messages if self._read(message)]
        if not readable:
            return Ack()
        work = Batch(self._subscription.queue, readable) if self._handler.batched else readable[0]
        timeout = self._subscription.timeout
        limit = asyncio.timeout(None if timeout is None else timeout.total_seconds())
        try:
            async with limit:
                await self._handler(work)
        except Outcome as said:
            return said
        except (Exception, asyncio.CancelledError) as error:  # the message's failure, and not the consumer's
            if limit.expired():
                return Retry(code=TIMEOUT, description=f"the handler took longer than {timeout}")
            if isinstance(error, asyncio.CancelledError) and self._cutting:
                return Release()
            log.warning("the handler of %s failed", self._subscription.queue, exc_info=error)
            return outcome_of(error)
        return Ack()

    def _read(self, message: Message[Any]) -> bool:
        """Let a message have its body as the handler wants it; one that has none such is rejected."""
        try:
            message.body = self._handler.decode(message.raw)
        except Exception as error:  # a caller's own function may raise anything
            known = isinstance(error, BodyError)
            log.warning("%r is rejected: %s", message, error if known else type(error).__name__)
            message.reject(BODY_INVALID, said_by(error))
            return False
        return True

    def _message(self, leased: pb.LeasedMessage) -> Message[Any]:
        return Message(leased, self._subscription.queue, None, self._settle)

    def _settle(self, settlement: pb.Settlement) -> Settling:
        settling = self._settler.settle(settlement)
        settling.add_done_callback(self._let_go(settlement.lease_id))
        return settling

    def _let_go(self, lease_id: str) -> Callable[[object], None]:
        return lambda _: self._renewer.let_go(lease_id)
