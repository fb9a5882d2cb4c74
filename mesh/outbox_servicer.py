"""How an outbox stands, for operators: served by every service that has one."""

from typing import Any

import grpc

from baton.mesh.v1 import outbox_service_pb2 as pb
from baton.mesh.v1.outbox_service_pb2_grpc import OutboxServiceServicer
from mesh.clock import Clock
from mesh.outbox import OutboxStore
from mesh.wire_time import duration_to, instant_to

Context = grpc.aio.ServicerContext[Any, Any]


class OutboxServicer(OutboxServiceServicer):
    """OutboxService on the store of an outbox.

    Args:
        store: where entries wait.
        clock: for the age of the oldest one.
    """

    def __init__(self, store: OutboxStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def GetOutboxStats(self, request: pb.GetOutboxStatsRequest, context: Context) -> pb.GetOutboxStatsResponse:
        """How the outbox stands."""
        depth, next_at = await self._store.depth(), await self._store.next_pending_at()
        stats = pb.OutboxStats(pending_count=depth.count, last_error=depth.last_error)
        if depth.oldest is not None:
            stats.oldest_age.CopyFrom(duration_to(depth.age(self._clock.now())))
        if next_at is not None:
            stats.next_try_time.CopyFrom(instant_to(next_at))
        return pb.GetOutboxStatsResponse(stats=stats)
