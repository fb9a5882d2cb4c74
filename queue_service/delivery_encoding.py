"""Deliveries as consumers get them, a batch at a time.

To build each in protobuf's objects takes longer than to store it. So their bytes are put together here, content as it
came, and read once for the whole batch. The little that this needs of the encoding is a length in front of a field
(protobuf.dev, "Encoding", "Length-Delimited Records"); what only few messages have is left to protobuf.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeVar

from google.protobuf.message import Message as ProtobufMessage

from baton.queue.v1 import message_pb2 as pb
from baton.queue.v1.batch_handler_service_pb2 import DeliverBatchRequest
from baton.queue.v1.consumer_service_pb2 import PullMessagesResponse, StreamMessagesResponse
from mesh.wire_time import instant_to
from queue_service.lease_id import LeaseIds
from queue_service.message import Delivery, Message
from queue_service.message_encoding import encode_header
from queue_service.queue_definition import Queue

Batch = TypeVar("Batch", PullMessagesResponse, StreamMessagesResponse.Batch, DeliverBatchRequest)

_LENGTH_DELIMITED = 2


def encode_deliveries(batch: type[Batch], deliveries: Iterable[Delivery], queue: Queue, lease_ids: LeaseIds) -> Batch:
    """A message of that type, with the deliveries as its ``messages``."""
    tag = _tag(batch, "messages")
    return batch.FromString(b"".join([_field(tag, _delivery(each, queue.number, lease_ids)) for each in deliveries]))


def _delivery(delivery: Delivery, queue_number: int, lease_ids: LeaseIds) -> bytes:
    message = _field(_MESSAGE, _header(delivery.message) + delivery.message.content)
    lease = _field(_LEASE_ID, lease_ids.encode(queue_number, delivery.lease).encode())
    _, _, delivery_count, attempt, last_attempt, lease_expire_time = delivery
    return lease + message + _circumstances(lease_expire_time, attempt, delivery_count, last_attempt)


def _header(message: Message) -> bytes:
    if message.deliver_time is None and not (message.deduplication_id or message.ordering_key or message.dead_letter):
        return _field(_MESSAGE_ID, message.message_id.encode()) + _times(message.send_time, message.expire_time)
    return encode_header(message).SerializeToString()


@lru_cache(maxsize=1024)
def _times(send_time: int, expire_time: int) -> bytes:
    """The same for all messages of one send, mostly."""
    return pb.QueueMessage(send_time=instant_to(send_time), expire_time=instant_to(expire_time)).SerializeToString()


@lru_cache(maxsize=1024)
def _circumstances(lease_expire_time: int, attempt: int, delivery_count: int, last_attempt: bool) -> bytes:
    """The same for all deliveries of one batch, mostly."""
    return pb.LeasedMessage(
        lease_expire_time=instant_to(lease_expire_time),
        attempt=attempt,
        delivery_count=delivery_count,
        last_attempt=last_attempt,
    ).SerializeToString()


def _field(tag: bytes, value: bytes) -> bytes:
    return tag + _varint(len(value)) + value


@lru_cache(maxsize=4096)
def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _tag(message: type[ProtobufMessage], field: str) -> bytes:
    return _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | _LENGTH_DELIMITED)


_LEASE_ID, _MESSAGE = _tag(pb.LeasedMessage, "lease_id"), _tag(pb.LeasedMessage, "message")
_MESSAGE_ID = _tag(pb.QueueMessage, "message_id")
