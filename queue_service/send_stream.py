"""A stream of sends: several under way at once, answered in order, each with an error of its own."""

import asyncio
from collections.abc import AsyncIterator

from baton.queue.v1 import message_pb2
from baton.queue.v1 import producer_service_pb2 as pb
from mesh.errors import BatonError, InvalidArgument, Unavailable
from mesh.field_rules import FieldRules
from queue_service.broker import Broker
from queue_service.message_encoding import decode_message, encode_send_result
from queue_service.status_encoding import encode_status

#: Sends of one stream under way at once: enough to fill the commits, few enough to bound what they hold in memory.
PIPELINE = 16

Requests = AsyncIterator[pb.StreamSendMessagesRequest]


class SendStream:
    """One producer's stream.

    Args:
        broker: where the messages go.
        rules: the field rules; a send that breaks one is refused by itself, the stream lives on.
    """

    def __init__(self, broker: Broker, rules: FieldRules) -> None:
        self._broker, self._rules = broker, rules
        self._answers: asyncio.Queue[asyncio.Task[pb.StreamSendMessagesResponse] | None] = asyncio.Queue(PIPELINE)
        self._failure: Exception | None = None

    async def run(self, requests: Requests) -> AsyncIterator[pb.StreamSendMessagesResponse]:
        """The answers, in the order of the requests.

        Raises:
            Unavailable: the broker drains; what was answered is stored.
        """
        reader = asyncio.create_task(self._read(requests))
        try:
            while (answer := await self._answers.get()) is not None:
                yield await answer
            if self._failure is not None:
                raise self._failure
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self, requests: Requests) -> None:
        draining = asyncio.create_task(self._broker.draining.wait())
        try:
            while (request := await self._next(requests, draining)) is not None:
                # A task begins in the order in which it is made, and submits before it first waits: the order is kept.
                await self._answers.put(asyncio.create_task(self._send(request)))
            if self._broker.draining.is_set():
                self._failure = Unavailable("DRAINING", "the broker is stopping")
        except Exception as error:  # of whatever kind: it is told behind the answers to what came before it
            self._failure = error
        finally:
            draining.cancel()
        await self._answers.put(None)  # unless cancelled: then nobody takes what is in the way

    async def _next(self, requests: Requests, draining: "asyncio.Task[bool]") -> pb.StreamSendMessagesRequest | None:
        following = asyncio.ensure_future(anext(requests, None))
        await asyncio.wait((following, draining), return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            return following.result()
        following.cancel()
        return None

    async def _send(self, request: pb.StreamSendMessagesRequest) -> pb.StreamSendMessagesResponse:
        try:
            results = await self._broker.send(
                request.queue, [decode_message(message) for message in self._checked(request)], request.request_id
            )
        except BatonError as error:
            return pb.StreamSendMessagesResponse(sequence=request.sequence, error=encode_status(error))
        encoded = [encode_send_result(result) for result in results]
        return pb.StreamSendMessagesResponse(sequence=request.sequence, results=encoded)

    def _checked(self, request: pb.StreamSendMessagesRequest) -> list[message_pb2.QueueMessage]:
        plain = pb.SendMessagesRequest(queue=request.queue, messages=request.messages, request_id=request.request_id)
        if violations := self._rules.check(plain, plain.ByteSize()):
            raise InvalidArgument(violations)
        return list(plain.messages)
