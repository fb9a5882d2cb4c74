"""ProducerService: decode, one call, encode."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from baton.queue.v1 import producer_service_pb2 as pb
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceServicer
from mesh.field_rules import FieldRules
from queue_service.broker import Broker
from queue_service.message_encoding import decode_message, encode_send_result
from queue_service.send_stream import SendStream

Context = grpc.aio.ServicerContext[Any, Any]


class ProducerServicer(ProducerServiceServicer):
    """Takes messages in.

    Args:
        broker: where they go.
        rules: the field rules, for what comes on a stream; the guard checks what comes by itself.
    """

    def __init__(self, broker: Broker, rules: FieldRules) -> None:
        self._broker, self._rules = broker, rules

    async def SendMessage(self, request: pb.SendMessageRequest, context: Context) -> pb.SendMessageResponse:
        """Store one message: a batch of one."""
        messages = [decode_message(request.message)]
        (result,) = await self._broker.send(request.queue, messages, request.request_id, path="message")
        return pb.SendMessageResponse(result=encode_send_result(result))

    async def SendMessages(self, request: pb.SendMessagesRequest, context: Context) -> pb.SendMessagesResponse:
        """Store messages, all or none."""
        messages = [decode_message(message) for message in request.messages]
        results = await self._broker.send(request.queue, messages, request.request_id)
        return pb.SendMessagesResponse(results=[encode_send_result(result) for result in results])

    async def StreamSendMessages(
        self, request_iterator: AsyncIterator[pb.StreamSendMessagesRequest], context: Context
    ) -> AsyncIterator[pb.StreamSendMessagesResponse]:
        """Store messages, many sends under way at once."""
        async for response in SendStream(self._broker, self._rules).run(request_iterator):
            yield response

    async def CancelMessage(self, request: pb.CancelMessageRequest, context: Context) -> pb.CancelMessageResponse:
        """Take back a message that nobody has."""
        await self._broker.backlog.cancel(request.queue, request.message_id)
        return pb.CancelMessageResponse()
