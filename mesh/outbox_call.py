"""What a relay asks of the broker for its entries, and how it reads the answers."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc

from baton.queue.v1 import message_pb2, producer_service_pb2
from mesh.outbox_entry import HandedOver, HandOver, OutboxEntry
from mesh.status import RemoteError, read_error

if TYPE_CHECKING:  # the asynchronous stub is a type only: at run time there is one stub for both
    from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceAsyncStub

#: How long the copy waits by which an entry's message is looked for: the longest the contract allows. It is taken back
#: right away, and should that fail, so the entry stays and does it again.
COPY_DELAY = timedelta(days=7)

# The broker is away or asks for patience: every entry waits. Any other code is about the entries that were sent.
_PATIENCE = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "CANCELLED"})
# A message that the broker has answers a copy of it as a repeat, whatever it would say to a new one.
_NEW_TO_IT = frozenset({"QUEUE_NOT_FOUND", "FIELD_INVALID", "BACKLOG_FULL"})


class Refused(Exception):
    """The broker's word on these entries alone; it is no reason to leave it in peace."""

    def __init__(self, remote: RemoteError) -> None:
        super().__init__(str(remote))
        self.remote = remote


class OutboxCall:
    """Entries as messages of a producer.

    Args:
        producer: the broker.
        timeout: seconds one call may take.
    """

    def __init__(self, producer: "ProducerServiceAsyncStub", timeout: float) -> None:
        self._producer, self._timeout = producer, timeout

    async def send(self, queue: str, entries: Sequence[OutboxEntry]) -> list[str]:
        """Send entries, all or none; the id of each one's message.

        Raises:
            Refused: they, or one of them, cannot be sent.
            grpc.RpcError: the broker is away or asks for patience.
        """
        messages = [_message(entry) for entry in entries]
        try:
            return await self._send(queue, messages)
        except grpc.RpcError as error:
            raise _refusal(error) or error from error

    async def find(self, entry: OutboxEntry) -> str | None:
        """The id of an entry's message; None when the broker has none and takes none.

        Nobody knows whether the broker has it when a hand-over was cut off. The same message is sent once more: within
        the queue's deduplication_window it finds the first one. Else it is new, and its delay keeps it from leaving
        until it is taken back.

        Raises:
            Refused, grpc.RpcError: as in `send`.
        """
        copy = _message(entry)
        copy.delay.FromTimedelta(COPY_DELAY)
        try:
            (message_id,) = await self._send(entry.queue, [copy])
        except grpc.RpcError as error:
            refusal = read_error(error)
            if refusal.reason in _NEW_TO_IT:
                return None
            raise _refusal(error) or error from error
        return message_id

    async def withdraw(self, queue: str, message_id: str) -> HandedOver:
        """Take a message back from the broker.

        Raises:
            Refused: it cannot be taken back, as when a consumer has it at this moment.
            grpc.RpcError: the broker is away or asks for patience.
        """
        request = producer_service_pb2.CancelMessageRequest(queue=queue, message_id=message_id)
        try:
            await self._producer.CancelMessage(request, timeout=self._timeout, wait_for_ready=True)
        except grpc.RpcError as error:
            refusal = read_error(error)
            if refusal.code != "NOT_FOUND":
                raise _refusal(error) or error from error
            if refusal.reason != "QUEUE_NOT_FOUND":
                return HandedOver(HandOver.GONE, message_id)
        return HandedOver(HandOver.WITHDRAWN, message_id)

    async def _send(self, queue: str, messages: Sequence[message_pb2.QueueMessage]) -> list[str]:
        request = producer_service_pb2.SendMessagesRequest(queue=queue, messages=messages)
        response = await self._producer.SendMessages(request, timeout=self._timeout, wait_for_ready=True)
        if len(response.results) != len(messages):
            raise ValueError(f"{len(messages)} messages were sent, {len(response.results)} were answered")
        return [result.message_id for result in response.results]


def _refusal(error: grpc.RpcError) -> Refused | None:
    remote = read_error(error)
    # Without a reason it is gRPC's own limit, and the entries are too large for one call.
    of_them = remote.code == "RESOURCE_EXHAUSTED" and remote.reason in {"", "BACKLOG_FULL"}
    return None if remote.code in _PATIENCE and not of_them else Refused(remote)


def _message(entry: OutboxEntry) -> message_pb2.QueueMessage:
    return message_pb2.QueueMessage(
        typed=message_pb2.TypedBody(type_name=entry.type_name, value=entry.value),
        attributes=entry.attributes,
        deduplication_id=entry.entry_id,
    )
