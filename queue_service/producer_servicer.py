"""ProducerService: decode, one call, encode."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from baton.queue.v1 import producer_service_pb2 as pb
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceServicer
from mesh.errors import NotBuilt
from queue_service.broker import Broker
from queue_service.message_encoding import decode_message
from queue_service.storage.verbs import SendResult

Context = grpc.aio.ServicerContext[Any, Any]


class ProducerServicer(ProducerServiceServicer):
    """Takes messages in."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def SendMessage(self, request: pb.SendMessageRequest, context: Context) -> pb.SendMessageResponse:
        """Store one message: a batch of one."""
        messages = [decode_message(request.message)]
        (result,) = await self._broker.send(request.queue, messages, request.request_id, path="message")
        return pb.SendMessageResponse(result=_encode(result))

    async def SendMessages(self, request: pb.SendMessagesRequest, context: Context) -> pb.SendMessagesResponse:
        """Store messages, all or none."""
        messages = [decode_message(message) for message in request.messages]
        results = await self._broker.send(request.queue, messages, request.request_id)
        return pb.SendMessagesResponse(results=[_encode(result) for result in results])

    async def StreamSendMessages(
        self, request_iterator: AsyncIterator[pb.StreamSendMessagesRequest], context: Context
    ) -> AsyncIterator[pb.StreamSendMessagesResponse]:
        """Not built yet."""
        raise NotBuilt("StreamSendMessages")
        yield  # makes it the generator that the stub asks for

    async def CancelMessage(self, request: pb.CancelMessageRequest, context: Context) -> pb.CancelMessageResponse:
        """Take back a message that nobody has."""
        await self._broker.backlog.cancel(request.queue, request.message_id)
        return pb.CancelMessageResponse()


def _encode(result: SendResult) -> pb.SendResult:
    return pb.SendResult(message_id=result.message_id, deduplicated=result.deduplicated)
