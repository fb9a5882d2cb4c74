"""A broker that only takes messages: it notes what it was given, and refuses what a test tells it to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from baton.queue.v1 import producer_service_pb2 as pb
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceServicer, add_ProducerServiceServicer_to_server
from mesh.errors import BatonError, NotBuilt

Context = grpc.aio.ServicerContext[pb.SendMessagesRequest, pb.SendMessagesResponse]


class RecordingProducer(ProducerServiceServicer):
    """The servicer, and the application that serves it."""

    packages: Sequence[str] = ("queue",)

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.received: list[str] = []
        self.delays: dict[str, int] = {}
        self.cancelled: list[str] = []
        self.refuse: dict[str, BatonError] = {}
        """By the id of an entry, for sends, or of a message, for cancels."""
        self.held: asyncio.Event | None = None
        """Set, sends are answered only once it is set."""
        self.cancels_held: asyncio.Event | None = None
        """The same for cancels."""
        self.cancelling = 0
        """Cancels that are not answered yet."""
        self._news = asyncio.Event()

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        add_ProducerServiceServicer_to_server(self, server)
        return [pb.DESCRIPTOR.services_by_name["ProducerService"].full_name]

    async def start(self) -> None: ...

    async def drain(self) -> None: ...

    async def close(self) -> None: ...

    async def SendMessages(self, request: pb.SendMessagesRequest, context: Context) -> pb.SendMessagesResponse:
        ids = [message.deduplication_id for message in request.messages]
        self.calls.append(ids)
        self._news.set()
        for entry_id in ids:
            if entry_id in self.refuse:
                raise self.refuse[entry_id]
        self.received += ids
        self.delays.update({message.deduplication_id: message.delay.seconds for message in request.messages})
        if self.held is not None:
            await self.held.wait()
        return pb.SendMessagesResponse(results=[pb.SendResult(message_id=f"m-{entry_id}") for entry_id in ids])

    async def SendMessage(self, request: Any, context: Any) -> pb.SendMessageResponse:
        raise NotBuilt("SendMessage")

    async def StreamSendMessages(self, requests: Any, context: Any) -> AsyncIterator[pb.StreamSendMessagesResponse]:
        raise NotBuilt("StreamSendMessages")
        yield

    async def CancelMessage(self, request: pb.CancelMessageRequest, context: Any) -> pb.CancelMessageResponse:
        self.cancelling += 1
        self._news.set()
        if self.cancels_held is not None:
            await self.cancels_held.wait()
        self.cancelling -= 1
        if request.message_id in self.refuse:
            raise self.refuse[request.message_id]
        self.cancelled.append(request.message_id)
        return pb.CancelMessageResponse()

    async def under_way(self, count: int) -> None:
        """Wait until so many cancels are not answered."""
        while self.cancelling < count:
            self._news.clear()
            await self._news.wait()

    async def until(self, count: int) -> list[str]:
        """Wait for so many entries; all that came."""
        while len(self.received) < count:
            self._news.clear()
            await self._news.wait()
        return self.received
