"""Messages between protobuf and domain.

What a producer says to the consumer, body and attributes among it, stays in protobuf's own bytes from the send to the
delivery: a delivery puts what the broker adds in front of them, since the encodings of two parts of a message, one
behind the other, are the encoding of both (protobuf.dev, "Encoding", "Last One Wins").
"""

import hashlib

from baton.queue.v1 import message_pb2 as pb
from baton.queue.v1 import producer_service_pb2 as producer_pb
from mesh.wire_time import duration_of, instant_of, instant_to
from queue_service.message import AttemptFailure, DeadLetter, Message, NewMessage
from queue_service.storage.verbs import SendResult

# Of each body in the contract: the number that stands for it in a digest. They are stored.
_KINDS = {None: 0, "text": 1, "json": 2, "data": 3, "typed": 4}
_DIGEST_BYTES = 16

# What a producer says to the consumer, by number; all else is the broker's to read or to say.
_CONTENT = {
    field.number
    for field in pb.QueueMessage.DESCRIPTOR.fields
    if field.name in {"text", "json", "data", "typed", "attributes", "content_type"}
}
_HEADER = [field.name for field in pb.QueueMessage.DESCRIPTOR.fields if field.number not in _CONTENT]


def decode_message(message: pb.QueueMessage) -> NewMessage:
    """What a producer sent, output-only fields left aside. The message is used up: what is left is its content."""
    message.DiscardUnknownFields()
    if _CONTENT.issuperset([field.number for field, _ in message.ListFields()]):
        return NewMessage(message.SerializeToString(), _size(message))
    schedule, expiration = message.WhichOneof("schedule"), message.WhichOneof("expiration")
    said = NewMessage(
        content=b"",
        size=_size(message),
        digest=_body_digest(message) if message.deduplication_id else b"",
        deduplication_id=message.deduplication_id,
        ordering_key=message.ordering_key,
        delay=duration_of(message.delay) if schedule == "delay" else None,
        deliver_time=instant_of(message.deliver_time) if schedule == "deliver_time" else None,
        ttl=duration_of(message.ttl) if expiration == "ttl" else None,
        expire_time=instant_of(message.expire_time) if expiration == "expire_time" else None,
    )
    for name in _HEADER:
        message.ClearField(name)  # type: ignore[arg-type]  # each of them is a field
    return said._replace(content=message.SerializeToString())


def _size(message: pb.QueueMessage) -> int:
    """Bytes of body and attributes, which is what the limits count."""
    size = len(body_value(message))
    if message.attributes:
        size += sum(len(key) + len(value.encode()) for key, value in message.attributes.items())
    return size


def body_value(message: pb.QueueMessage) -> bytes:
    """The body as bytes, whatever its kind: text and JSON as UTF-8."""
    match message.WhichOneof("body"):
        case "data":
            return message.data
        case "text":
            return message.text.encode()
        case "json":
            return message.json.encode()
        case "typed":
            return message.typed.value
        case _:
            return b""


def _body_digest(message: pb.QueueMessage) -> bytes:
    """16 bytes that two bodies share only when they are the same."""
    head = f"{_KINDS[message.WhichOneof('body')]}:{message.typed.type_name}:".encode()
    return hashlib.blake2b(head + body_value(message), digest_size=_DIGEST_BYTES).digest()


def encode_message(message: Message) -> pb.QueueMessage:
    """A message as a consumer gets it: instants in place of delay and ttl."""
    return pb.QueueMessage.FromString(encode_header(message).SerializeToString() + message.content)


def encode_header(message: Message) -> pb.QueueMessage:
    """What the broker says of a message."""
    header = pb.QueueMessage(
        message_id=message.message_id,
        deduplication_id=message.deduplication_id,
        ordering_key=message.ordering_key,
        send_time=instant_to(message.send_time),
        expire_time=instant_to(message.expire_time),
    )
    if message.deliver_time is not None:
        header.deliver_time.CopyFrom(instant_to(message.deliver_time))
    if message.dead_letter is not None:
        header.dead_letter.CopyFrom(_encode_dead_letter(message.dead_letter))
    return header


def _encode_dead_letter(dead_letter: DeadLetter) -> pb.DeadLetter:
    return pb.DeadLetter(
        reason=pb.DeadLetter.Reason.ValueType(int(dead_letter.reason)),
        source_queue=dead_letter.source_queue,
        attempts=dead_letter.attempts,
        source_send_time=instant_to(dead_letter.source_send_time),
        dead_letter_time=instant_to(dead_letter.dead_letter_time),
        failures=[encode_failure(failure) for failure in dead_letter.failures],
        redrive_count=dead_letter.redrive_count,
    )


def encode_failure(failure: AttemptFailure) -> pb.AttemptFailure:
    """A failed attempt."""
    return pb.AttemptFailure(
        attempt=failure.attempt,
        failure_time=instant_to(failure.failure_time),
        consumer_instance=failure.consumer_instance,
        code=failure.code,
        description=failure.description,
    )


def encode_send_result(result: SendResult) -> producer_pb.SendResult:
    """What became of one message of a send."""
    return producer_pb.SendResult(message_id=result.message_id, deduplicated=result.deduplicated)
