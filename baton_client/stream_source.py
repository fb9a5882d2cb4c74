"""Messages from StreamMessages, on one stream after the other: a stream that breaks is opened anew."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from baton.queue.v1 import consumer_service_pb2 as pb
from baton.queue.v1 import message_pb2
from baton_client.connection import Connection
from baton_client.errors import CallError
from baton_client.outcome import as_duration
from baton_client.stream_call import Notice, StreamCall
from baton_client.subscription import UNKNOWN_LEASE, Held, Subscription

log = logging.getLogger(__name__)


class StreamSource:
    """See `baton_client.subscription.Source`.

    What was delivered on a stream that broke is the broker's again: what waits for its turn here is forgotten. What has
    been begun goes on, and its settlement is sent all the same: the broker still takes it while nobody else has had the
    message.
    """

    def __init__(self, connection: Connection, subscription: Subscription) -> None:
        self._connection, self._subscription = connection, subscription
        self._call: StreamCall | None = None
        self._draining = asyncio.Event()
        self.lease = UNKNOWN_LEASE

    async def batches(self, held: Held) -> AsyncGenerator[Sequence[message_pb2.LeasedMessage], None]:
        """Deliveries, until drained and finished; the broker counts what is here itself. Raises CallError."""
        failures = 0
        while not self._draining.is_set():
            self._call = StreamCall(self._connection, self._opening())
            try:
                async with aclosing(self._call.incoming()) as incoming:
                    async for response in incoming:
                        failures = 0
                        if response.HasField("batch"):
                            yield response.batch.messages
                        else:
                            self._note(response, held)
                error = CallError("UNAVAILABLE", "the broker ended the stream")
            except CallError as broken:
                if not broken.passing:
                    raise
                error = broken
            held.lost()
            failures += 1
            await self._pause(failures, error)

    async def settle(self, settlements: Sequence[message_pb2.Settlement]) -> Sequence[message_pb2.SettlementResult]:
        """Settle on the stream, or, while there is none, by a call of its own; raises CallError."""
        if self._call is not None and self._call.open:
            return await self._call.settle(settlements)
        request = pb.SettleMessagesRequest(queue=self._subscription.queue, settlements=settlements)
        return (await self._connection.call(self._connection.consumer.SettleMessages, request)).results

    async def extend(self, lease_ids: Sequence[str]) -> Sequence[pb.LeaseExtension]:
        """Renew leases on the stream: without it there are none; raises CallError."""
        if self._call is None or not self._call.open:
            raise CallError("UNAVAILABLE", "there is no stream at this moment")
        return await self._call.extend(lease_ids, self._subscription.visibility_timeout)

    async def drain(self) -> None:
        """Ask for no more messages; what was on its way still comes."""
        self._draining.set()
        if self._call is not None and self._call.open:
            try:
                await self._call.drain()
            except CallError as error:
                log.info("the stream ended before it was drained: %s", error)

    def finish(self) -> None:
        """Everything is settled: the stream may end."""
        if self._call is not None:
            self._call.finish()

    def _opening(self) -> pb.StreamMessagesRequest.Open:
        wanted = self._subscription
        opening = pb.StreamMessagesRequest.Open(
            queue=wanted.queue,
            consumer_instance=wanted.consumer_instance,
            flow_control=pb.StreamMessagesRequest.FlowControl(max_outstanding_messages=wanted.window),
            max_batch_size=min(1000, wanted.max_batch_size if wanted.batched else wanted.window),
        )
        if wanted.visibility_timeout is not None:
            opening.visibility_timeout.CopyFrom(as_duration(wanted.visibility_timeout))
        if not wanted.batched:
            opening.max_batch_timeout.SetInParent()  # zero: a single message waits for no other
        elif wanted.max_batch_timeout is not None:
            opening.max_batch_timeout.CopyFrom(as_duration(wanted.max_batch_timeout))
        return opening

    def _note(self, response: pb.StreamMessagesResponse, held: Held) -> None:
        if response.HasField("opened"):
            self.lease = response.opened.visibility_timeout.ToTimedelta().total_seconds()
            log.info("consuming %s", self._subscription.queue)
        elif response.HasField("notice"):
            log.info("the broker says %s of %s", Notice.Kind.Name(response.notice.kind), self._subscription.queue)
            for lease_id in response.notice.lease_ids:
                held.let_go(lease_id)

    async def _pause(self, failures: int, error: CallError) -> None:
        """Wait before the next stream, or until there will be none."""
        if self._draining.is_set():
            return
        log.warning("the stream of %s is opened again: %s", self._subscription.queue, error)
        try:
            async with asyncio.timeout(self._connection.wait_after(failures, error)):
                await self._draining.wait()
        except TimeoutError:
            return
