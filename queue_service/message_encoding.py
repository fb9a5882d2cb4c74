"""Messages and settlements between protobuf and domain."""

from baton.queue.v1 import message_pb2 as pb
from baton.queue.v1 import producer_service_pb2 as producer_pb
from mesh.wire_time import duration_of, instant_of, instant_to
from queue_service.lease_id import LeaseIds
from queue_service.message import AttemptFailure, Body, BodyKind, DeadLetter, Delivery, Message, NewMessage
from queue_service.queue_definition import Queue
from queue_service.storage.verbs import SendResult

_NO_BODY = Body(BodyKind.NONE, b"")


def decode_message(message: pb.QueueMessage) -> NewMessage:
    """What a producer sent, output-only fields left aside."""
    return NewMessage(
        body=_decode_body(message),
        attributes=dict(message.attributes),
        content_type=message.content_type,
        deduplication_id=message.deduplication_id,
        ordering_key=message.ordering_key,
        delay=duration_of(message.delay) if message.HasField("delay") else None,
        deliver_time=instant_of(message.deliver_time) if message.HasField("deliver_time") else None,
        ttl=duration_of(message.ttl) if message.HasField("ttl") else None,
        expire_time=instant_of(message.expire_time) if message.HasField("expire_time") else None,
    )


def _decode_body(message: pb.QueueMessage) -> Body:
    match message.WhichOneof("body"):
        case "text":
            return Body(BodyKind.TEXT, message.text.encode())
        case "json":
            return Body(BodyKind.JSON, message.json.encode())
        case "data":
            return Body(BodyKind.DATA, message.data)
        case "typed":
            return Body(BodyKind.TYPED, message.typed.value, message.typed.type_name)
        case _:
            return _NO_BODY


def encode_message(message: Message) -> pb.QueueMessage:
    """A message as a consumer gets it: instants in place of delay and ttl."""
    encoded = pb.QueueMessage(
        message_id=message.message_id,
        attributes=message.attributes,
        deduplication_id=message.deduplication_id,
        ordering_key=message.ordering_key,
        send_time=instant_to(message.send_time),
        expire_time=instant_to(message.expire_time),
        content_type=message.content_type,
        producer=message.producer,
    )
    _encode_body(message.body, encoded)
    if message.deliver_time is not None:
        encoded.deliver_time.CopyFrom(instant_to(message.deliver_time))
    if message.dead_letter is not None:
        encoded.dead_letter.CopyFrom(_encode_dead_letter(message.dead_letter))
    return encoded


def _encode_body(body: Body, encoded: pb.QueueMessage) -> None:
    match body.kind:
        case BodyKind.TEXT:
            encoded.text = body.value.decode()
        case BodyKind.JSON:
            encoded.json = body.value.decode()
        case BodyKind.DATA:
            encoded.data = body.value
        case BodyKind.TYPED:
            encoded.typed.type_name = body.type_name
            encoded.typed.value = body.value
        case BodyKind.NONE:
            pass


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


def encode_delivery(delivery: Delivery, queue: Queue, lease_ids: LeaseIds) -> pb.LeasedMessage:
    """A delivery as a consumer gets it."""
    return pb.LeasedMessage(
        lease_id=lease_ids.encode(queue.number, delivery.lease),
        message=encode_message(delivery.message),
        attempt=delivery.attempt,
        lease_expire_time=instant_to(delivery.lease_expire_time),
        delivery_count=delivery.delivery_count,
        last_attempt=delivery.last_attempt,
    )


def encode_send_result(result: SendResult) -> producer_pb.SendResult:
    """What became of one message of a send."""
    return producer_pb.SendResult(message_id=result.message_id, deduplicated=result.deduplicated)
