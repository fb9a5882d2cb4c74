"""One call of BatchHandlerService.DeliverBatch: settles as the handler answers, and ends one that has gone silent."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc

from baton.queue.v1 import batch_handler_service_pb2 as pb
from baton.queue.v1 import message_pb2
from mesh.clock import Clock
from mesh.field_rules import FieldRules
from mesh.status import RemoteError, read_error
from mesh.telemetry import get_logger
from mesh.wire_time import duration_to
from queue_service.broker import Broker, push_lease_end
from queue_service.delivery_encoding import encode_deliveries
from queue_service.message import Delivery, Lease
from queue_service.push.call_end import CallEnd
from queue_service.queue_definition import DAY, Queue
from queue_service.settlement import Action, Extend, Retry
from queue_service.settlement_encoding import decode_action

if TYPE_CHECKING:
    from baton.queue.v1.batch_handler_service_pb2_grpc import BatchHandlerServiceAsyncStub

    DeliverBatchCall = grpc.aio.UnaryStreamCall[pb.DeliverBatchRequest, pb.DeliverBatchResponse]

log = get_logger(__name__)

#: A handler that keeps answering keeps its leases for this long after the delivery at most.
LONGEST_LEASE = DAY // 2
#: Settlements of one response that are read; the contract's limit of a call.
MAX_SETTLEMENTS = 1000
SETTLEMENT_INVALID = "SETTLEMENT_INVALID"


class _HandlerSilentError(Exception):
    """No response came for one visibility timeout."""


class BatchCall:
    """A batch on its way through a handler; ``rest`` is what no response has settled yet."""

    def __init__(
        self,
        queue: Queue,
        batch_id: str,
        deliveries: Sequence[Delivery],
        broker: Broker,
        rules: FieldRules,
        clock: Clock,
    ) -> None:
        self._queue, self._batch_id, self._deliveries = queue, batch_id, deliveries
        self._broker, self._rules, self._clock = broker, rules, clock
        self._begun = clock.now()
        self.rest: dict[Lease, Delivery] = {delivery.lease: delivery for delivery in deliveries}

    async def run(self, stub: "BatchHandlerServiceAsyncStub") -> CallEnd:
        """Make the call; how it ended."""
        call = stub.DeliverBatch(self._request())
        try:
            while isinstance(response := await self._read(call), pb.DeliverBatchResponse):
                await self._heard(response)
            if response is not grpc.aio.EOF:  # gRPC gives None for bytes that are no such message: far from an OK
                return CallEnd(RemoteError("INTERNAL", "the handler answered with what is no DeliverBatchResponse"))
        except grpc.aio.AioRpcError as error:
            return CallEnd(read_error(error))
        except _HandlerSilentError:
            seconds = self._queue.consumer.visibility_timeout / 1e6
            return CallEnd(RemoteError("DEADLINE_EXCEEDED", f"the handler was silent for {seconds:g} s"))
        finally:
            call.cancel()
        return CallEnd()

    def _request(self) -> pb.DeliverBatchRequest:
        lease_ids, timeout = self._broker.lease_ids, self._queue.consumer.visibility_timeout
        request = encode_deliveries(pb.DeliverBatchRequest, self._deliveries, self._queue, lease_ids)
        request.queue, request.batch_id = self._queue.name, self._batch_id
        request.visibility_timeout.CopyFrom(duration_to(timeout))
        return request

    async def _read(self, call: "DeliverBatchCall") -> object:
        silent = asyncio.Event()

        def give_up() -> None:
            silent.set()
            call.cancel()

        timer = self._clock.call_after(self._queue.consumer.visibility_timeout, give_up)
        try:
            return await call.read()
        except asyncio.CancelledError as error:
            if silent.is_set():
                raise _HandlerSilentError from error
            raise
        finally:
            timer.cancel()

    async def _heard(self, response: pb.DeliverBatchResponse) -> None:
        ignored = 0
        actions: list[tuple[Lease | None, Action]] = []
        for settlement in response.settlements[:MAX_SETTLEMENTS]:
            lease = self._broker.lease_ids.decode(settlement.lease_id, self._queue.number)
            if lease is not None and self.rest.pop(lease, None) is not None:
                actions.append((lease, self._action(settlement)))
            else:
                ignored += 1
        ignored += max(0, len(response.settlements) - MAX_SETTLEMENTS)
        if ignored:
            facts = {"queue": self._queue.name, "batch_id": self._batch_id, "count": ignored}
            log.warning("a handler settled what it does not hold", action="settlements_ignored", **facts)
        until = min(push_lease_end(self._queue, self._clock.now()), self._begun + LONGEST_LEASE)
        actions += [(lease, Extend(until)) for lease in self.rest]
        await self._broker.settle(self._queue.name, actions)

    def _action(self, settlement: message_pb2.Settlement) -> Action:
        """What the handler says, or, where that breaks the contract, a failure that tells it so: never an ack."""
        if violations := self._rules.check(settlement, settlement.ByteSize()):
            first = violations[0]
            return Retry(code=SETTLEMENT_INVALID, description=f"{first.field}: {first.description}")
        return decode_action(settlement) or Retry(code=SETTLEMENT_INVALID, description="action: is required")
