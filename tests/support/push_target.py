"""A push target for tests: BatchHandlerService and one plain unary method, both doing what the test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from baton.queue.v1 import batch_handler_service_pb2 as pb
from baton.queue.v1 import message_pb2
from baton.queue.v1.batch_handler_service_pb2_grpc import (
    BatchHandlerServiceServicer,
    add_BatchHandlerServiceServicer_to_server,
)

Context = grpc.aio.ServicerContext[Any, Any]
Handle = Callable[[pb.DeliverBatchRequest, Context], AsyncIterator[pb.DeliverBatchResponse]]
Take = Callable[[bytes, Context], Awaitable[bytes]]

METHOD = "test.v1.Sink/Take"


async def ack_all(request: pb.DeliverBatchRequest, context: Context) -> AsyncIterator[pb.DeliverBatchResponse]:
    """Return without a word: everything is acked."""
    return
    yield


async def take(request: bytes, context: Context) -> bytes:
    """Answer OK."""
    return b""


def settlement(leased: message_pb2.LeasedMessage, **action: Any) -> pb.DeliverBatchResponse:
    """A response that settles one message."""
    return pb.DeliverBatchResponse(settlements=[message_pb2.Settlement(lease_id=leased.lease_id, **action)])


class PushTarget(BatchHandlerServiceServicer):
    """Hands each call on, to be awaited by the test, and does as ``handle`` and ``take`` say."""

    def __init__(self) -> None:
        self.handle: Handle = ack_all
        self.take: Take = take
        self.batches: asyncio.Queue[pb.DeliverBatchRequest] = asyncio.Queue()
        self.taken: asyncio.Queue[tuple[bytes, dict[str, str | bytes]]] = asyncio.Queue()
        self.address = ""
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()

    async def DeliverBatch(
        self, request: pb.DeliverBatchRequest, context: Context
    ) -> AsyncIterator[pb.DeliverBatchResponse]:
        self.batches.put_nowait(request)
        async for response in self.handle(request, context):
            yield response

    async def _take(self, request: bytes, context: Context) -> bytes:
        self.taken.put_nowait((request, dict(context.invocation_metadata() or ())))
        return await self.take(request, context)

    async def batch(self) -> pb.DeliverBatchRequest:
        async with asyncio.timeout(20):
            return await self.batches.get()

    async def texts(self) -> list[str]:
        return [leased.message.text for leased in (await self.batch()).messages]

    async def start(self, *, batches: bool = True, healthy: bool | None = None) -> None:
        """Listen, on the address of before if there was one; with a health service where its state is given."""
        self._server = server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        if healthy is not None:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
            await self.serve(healthy=healthy)
        if batches:
            add_BatchHandlerServiceServicer_to_server(self, server)
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._take)
        service, method = METHOD.split("/")
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        port = server.add_insecure_port(self.address or "127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        await server.start()

    async def serve(self, *, healthy: bool) -> None:
        """Say from now on that it serves, or that it does not."""
        response = health_pb2.HealthCheckResponse
        await self._health.set("", response.SERVING if healthy else response.NOT_SERVING)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)


@asynccontextmanager
async def push_target() -> AsyncIterator[PushTarget]:
    target = PushTarget()
    await target.start()
    try:
        yield target
    finally:
        await target.stop()
