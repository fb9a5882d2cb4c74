"""One call of BatchHandlerService.DeliverBatch: settles as the handler answers, and ends one that has gone silent."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import grpc

from baton.queue.v1 import batch_handler_service_pb2 as pb
from mesh.clock import Clock
from mesh.status import RemoteError, read_error
from mesh.telemetry import get_logger
from mesh.wire_time import duration_to
from queue_service.lease_id import LeaseIds
from queue_service.message import Delivery, Lease
from queue_service.message_encoding import encode_delivery
from queue_service.push.call_end import CallEnd
from queue_service.queue_definition import DAY, Queue
from queue_service.settlement import Action, Extend
from queue_service.settlement_encoding import decode_action

if TYPE_CHECKING:
    from baton.queue.v1.batch_handler_service_pb2_grpc import BatchHandlerServiceAsyncStub

    DeliverBatchCall = grpc.aio.UnaryStreamCall[pb.DeliverBatchRequest, pb.DeliverBatchResponse]

log = get_logger(__name__)

#: A handler that keeps answering keeps its leases for this long after the delivery at most.
LONGEST_LEASE = DAY // 2

SettleLeases = Callable[[str, Sequence[tuple[Lease | None, Action]]], Awaitable[object]]


class _HandlerSilentError(Exception):
    """No response came for one visibility timeout."""


class BatchCall:
    """A batch on its way through a handler; ``rest`` is what no response has settled yet."""

    def __init__(
        self,
        queue: Queue,
        batch_id: str,
        deliveries: Sequence[Delivery],
        settle: SettleLeases,
        lease_ids: LeaseIds,
        clock: Clock,
    ) -> None:
        self._queue, self._batch_id, self._deliveries = queue, batch_id, deliveries
        self._settle, self._lease_ids, self._clock = settle, lease_ids, clock
        self._begun = clock.now()
        self.rest: dict[Lease, Delivery] = {delivery.lease: delivery for delivery in deliveries}

    async def run(self, stub: "BatchHandlerServiceAsyncStub") -> CallEnd:
        """Make the call; how it ended."""
        call = stub.DeliverBatch(self._request())
        try:
            while isinstance(response := await self._read(call), pb.DeliverBatchResponse):
                await self._heard(response)
        except grpc.aio.AioRpcError as error:
            return CallEnd(read_error(error))
        except _HandlerSilentError:
            seconds = self._queue.consumer.visibility_timeout / 1e6
            return CallEnd(RemoteError("DEADLINE_EXCEEDED", f"the handler was silent for {seconds:g} s"))
        finally:
            call.cancel()
        return CallEnd()

    def _request(self) -> pb.DeliverBatchRequest:
        return pb.DeliverBatchRequest(
            queue=self._queue.name,
            batch_id=self._batch_id,
            messages=[encode_delivery(delivery, self._queue, self._lease_ids) for delivery in self._deliveries],
            visibility_timeout=duration_to(self._queue.consumer.visibility_timeout),
        )

    async def _read(self, call: "DeliverBatchCall") -> object:
        silent = asyncio.Event()

        def give_up() -> None:
            silent.set()
            call.cancel()

        timer = self._clock.call_at(self._clock.now() + self._queue.consumer.visibility_timeout, give_up)
        try:
            return await call.read()
        except asyncio.CancelledError as error:
            if silent.is_set():
                raise _HandlerSilentError from error
            raise
        finally:
            timer.cancel()

    async def _heard(self, response: pb.DeliverBatchResponse) -> None:
        settlements: list[tuple[Lease | None, Action]] = []
        for settlement in response.settlements:
            lease = self._lease_ids.decode(settlement.lease_id, self._queue.number)
            action = decode_action(settlement)
            if lease in self.rest and action is not None:
                settlements.append((lease, action))
                del self.rest[lease]
            else:
                log.warning(
                    "a handler settled what it does not hold, or said nothing of it",
                    action="settlement_ignored",
                    queue=self._queue.name,
                    batch_id=self._batch_id,
                )
        until = min(self._clock.now() + self._queue.consumer.visibility_timeout, self._begun + LONGEST_LEASE)
        settlements += [(lease, Extend(until)) for lease in self.rest]
        await self._settle(self._queue.name, settlements)
