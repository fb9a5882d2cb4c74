"""ConsumerService: decode, one call, encode."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from baton.queue.v1 import consumer_service_pb2 as pb
from baton.queue.v1 import message_pb2
from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceServicer
from mesh.errors import InvalidArgument, NotBuilt, Violation
from mesh.wire_time import duration_of, instant_to
from queue_service.broker import Broker
from queue_service.message import Lease
from queue_service.message_encoding import decode_action, encode_delivery
from queue_service.pull import Pull
from queue_service.queue_encoding import encode_state
from queue_service.settlement import Action, LeaseOutcome

Context = grpc.aio.ServicerContext[Any, Any]


class ConsumerServicer(ConsumerServiceServicer):
    """Hands messages out and hears what became of them."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def PullMessages(self, request: pb.PullMessagesRequest, context: Context) -> pb.PullMessagesResponse:
        """Lease what is ready, waiting for it up to max_wait."""
        leased = await self._broker.pull(_decode_pull(request))
        queue = self._broker.catalog.get(request.queue)
        return pb.PullMessagesResponse(
            messages=[encode_delivery(delivery, queue, self._broker.lease_ids) for delivery in leased.deliveries],
            queue_state=encode_state(queue, self._broker.backlog.now()),
            ready_count=leased.ready_count,
        )

    async def SettleMessages(self, request: pb.SettleMessagesRequest, context: Context) -> pb.SettleMessagesResponse:
        """Settle deliveries, each on its own."""
        outcomes = await self._broker.settle(request.queue, self._decode(request.queue, request.settlements))
        results = [
            message_pb2.SettlementResult(
                lease_id=settlement.lease_id, outcome=message_pb2.LeaseOutcome.ValueType(int(outcome))
            )
            for settlement, outcome in zip(request.settlements, outcomes, strict=True)
        ]
        return pb.SettleMessagesResponse(results=results)

    async def ExtendLeases(self, request: pb.ExtendLeasesRequest, context: Context) -> pb.ExtendLeasesResponse:
        """Let leases end later, each on its own."""
        number = self._broker.catalog.get(request.queue).number
        leases = [self._broker.lease_ids.decode(lease_id, number) for lease_id in request.lease_ids]
        timeout = duration_of(request.visibility_timeout) if request.HasField("visibility_timeout") else None
        outcomes, until = await self._broker.extend(request.queue, leases, timeout)
        pairs = zip(request.lease_ids, outcomes, strict=True)
        return pb.ExtendLeasesResponse(extensions=[_extension(lease_id, outcome, until) for lease_id, outcome in pairs])

    async def StreamMessages(
        self, request_iterator: AsyncIterator[pb.StreamMessagesRequest], context: Context
    ) -> AsyncIterator[pb.StreamMessagesResponse]:
        """Not built yet."""
        raise NotBuilt("StreamMessages")
        yield  # makes it the generator that the stub asks for

    def _decode(
        self, queue_name: str, settlements: Sequence[message_pb2.Settlement]
    ) -> list[tuple[Lease | None, Action]]:
        number = self._broker.catalog.get(queue_name).number
        return [
            (self._broker.lease_ids.decode(settlement.lease_id, number), _action(settlement, index))
            for index, settlement in enumerate(settlements)
        ]


def _extension(lease_id: str, outcome: LeaseOutcome, until: int) -> pb.LeaseExtension:
    extension = pb.LeaseExtension(lease_id=lease_id, outcome=message_pb2.LeaseOutcome.ValueType(int(outcome)))
    if outcome is LeaseOutcome.APPLIED:
        extension.lease_expire_time.CopyFrom(instant_to(until))
    return extension


def _action(settlement: message_pb2.Settlement, index: int) -> Action:
    action = decode_action(settlement)
    if action is None:
        raise InvalidArgument([Violation(f"settlements[{index}].action", "is required")])
    return action


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
