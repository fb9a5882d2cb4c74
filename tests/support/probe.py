"""A small application with one method of each kind, whose behaviour a test chooses."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from baton.queue.v1.message_pb2 import QueueMessage

SERVICE = "baton.queue.v1.ProbeService"

Context = grpc.aio.ServicerContext[Any, Any]


class ProbeApplication:
    """Echoes, unless a test derives from it. Requests and responses are `QueueMessage`s, field rules and all."""

    packages: Sequence[str] = ("queue",)

    def __init__(self) -> None:
        self.steps: list[str] = []

    async def unary(self, request: QueueMessage, context: Context) -> QueueMessage:
        return request

    async def watch(self, request: QueueMessage, context: Context) -> AsyncIterator[QueueMessage]:
        yield request

    async def collect(self, requests: AsyncIterator[QueueMessage], context: Context) -> QueueMessage:
        return QueueMessage(text="".join([request.text async for request in requests]))

    async def chat(self, requests: AsyncIterator[QueueMessage], context: Context) -> AsyncIterator[QueueMessage]:
        async for request in requests:
            yield request

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        coding: dict[str, Any] = {
            "request_deserializer": QueueMessage.FromString,
            "response_serializer": QueueMessage.SerializeToString,
        }
        unary: Any = self.unary
        watch: Any = self.watch
        collect: Any = self.collect
        chat: Any = self.chat
        handlers = {
            "Unary": grpc.unary_unary_rpc_method_handler(unary, **coding),
            "Watch": grpc.unary_stream_rpc_method_handler(watch, **coding),
            "Collect": grpc.stream_unary_rpc_method_handler(collect, **coding),
            "Chat": grpc.stream_stream_rpc_method_handler(chat, **coding),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        return [SERVICE]

    async def start(self) -> None:
        self.steps.append("start")

    async def drain(self) -> None:
        self.steps.append("drain")

    async def close(self) -> None:
        self.steps.append("close")


class ProbeCalls:
    """The four methods as a caller sees them. Bytes are sent as they are, so a request may be nonsense."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        coding: dict[str, Any] = {"request_serializer": _encode, "response_deserializer": QueueMessage.FromString}
        self.unary: Any = channel.unary_unary(f"/{SERVICE}/Unary", **coding)
        self.watch: Any = channel.unary_stream(f"/{SERVICE}/Watch", **coding)
        self.collect: Any = channel.stream_unary(f"/{SERVICE}/Collect", **coding)
        self.chat: Any = channel.stream_stream(f"/{SERVICE}/Chat", **coding)
        self.unknown: Any = channel.unary_unary(f"/{SERVICE}/NoSuchMethod", **coding)

    async def call(self, kind: str, *requests: QueueMessage | bytes, **options: Any) -> list[QueueMessage]:
        """Call a method of any kind; all responses."""
        streams_in, streams_out = kind in {"collect", "chat"}, kind in {"watch", "chat"}
        given: Any = iter(requests) if streams_in else requests[0]
        call = getattr(self, kind)(given, **options)
        return [response async for response in call] if streams_out else [await call]


KINDS = ("unary", "watch", "collect", "chat")


def _encode(request: QueueMessage | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()
