"""ConsumerService: decode, one call, encode."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from baton.queue.v1 import consumer_service_pb2 as pb
from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceServicer
from mesh.clock import Clock
from mesh.field_rules import FieldRules
from mesh.wire_time import duration_of
from queue_service.broker import Broker
from queue_service.delivery_encoding import encode_deliveries
from queue_service.delivery_stream import DeliveryStream
from queue_service.pull import Pull
from queue_service.queue_encoding import encode_state
from queue_service.settlement_encoding import decode_settlements, encode_extensions, encode_results
from queue_service.stream_request import checked_opening

Context = grpc.aio.ServicerContext[Any, Any]


class ConsumerServicer(ConsumerServiceServicer):
    """Hands messages out and hears what became of them.

    Args:
        broker: where they come from.
        rules: the field rules, for what comes on a stream; the guard checks what comes by itself.
        clock: the time.
    """

    def __init__(self, broker: Broker, rules: FieldRules, clock: Clock) -> None:
        self._broker, self._rules, self._clock = broker, rules, clock

    async def PullMessages(self, request: pb.PullMessagesRequest, context: Context) -> pb.PullMessagesResponse:
        """Lease what is ready, waiting for it up to max_wait."""
        leased = await self._broker.pull(_decode_pull(request))
        queue = self._broker.catalog.get(request.queue)
        response = encode_deliveries(pb.PullMessagesResponse, leased.deliveries, queue, self._broker.lease_ids)
        response.queue_state = encode_state(queue, self._clock.now())
        response.ready_count = leased.ready_count
        return response

    async def SettleMessages(self, request: pb.SettleMessagesRequest, context: Context) -> pb.SettleMessagesResponse:
        """Settle deliveries, each on its own."""
        number = self._broker.catalog.get(request.queue).number
        pairs = decode_settlements(request.settlements, self._broker.lease_ids, number)
        outcomes = await self._broker.settle(request.queue, pairs)
        return pb.SettleMessagesResponse(results=encode_results(request.settlements, outcomes))

    async def ExtendLeases(self, request: pb.ExtendLeasesRequest, context: Context) -> pb.ExtendLeasesResponse:
        """Let leases end later, each on its own."""
        number = self._broker.catalog.get(request.queue).number
        leases = [self._broker.lease_ids.decode(lease_id, number) for lease_id in request.lease_ids]
        timeout = duration_of(request.visibility_timeout) if request.HasField("visibility_timeout") else None
        outcomes, until = await self._broker.extend(request.queue, leases, timeout)
        return pb.ExtendLeasesResponse(extensions=encode_extensions(request.lease_ids, outcomes, until))

    async def StreamMessages(
        self, request_iterator: AsyncIterator[pb.StreamMessagesRequest], context: Context
    ) -> AsyncIterator[pb.StreamMessagesResponse]:
        """Deliver, settle and control the flow on one stream."""
        opening = await anext(request_iterator, None)
        stream = DeliveryStream(checked_opening(opening, self._rules), self._broker, self._rules, self._clock)

        async def reaches(last: pb.StreamMessagesResponse) -> bool:
            try:
                await context.write(last)
            except grpc.aio.BaseError:
                return False
            return True

        async for response in stream.run(request_iterator, reaches):
            yield response


def _decode_pull(request: pb.PullMessagesRequest) -> Pull:
    visibility = duration_of(request.visibility_timeout) if request.HasField("visibility_timeout") else None
    return Pull(
        queue=request.queue,
        max_messages=request.max_messages,
        max_bytes=request.max_bytes,
        max_wait=duration_of(request.max_wait),
        visibility_timeout=visibility,
        consumer_instance=request.consumer_instance,
        request_id=request.request_id,
    )
