"""A message to be sent, with everything that a producer may say of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from baton.queue.v1 import message_pb2 as pb
from baton_client.body import encode_body
from baton_client.errors import BodyError
from baton_client.outcome import as_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A body and how it is to travel. What is left out is the queue's to decide.

    Attributes:
        body: text, bytes, a protobuf message, or what JSON can say (`baton_client.body`).
        attributes: strings that travel beside it, such as ``traceparent``.
        deduplication_id: a repeat of it within the queue's window stores nothing; 128 bytes.
        ordering_key: messages of one key are delivered in order, one at a time; 128 bytes.
        delay: deliver it that much later; zero overrides a delay of the queue's.
        deliver_time: deliver it then, at the earliest; aware of its time zone. In place of ``delay``.
        ttl: give it up that long after it could first be delivered.
        expire_time: give it up then; aware of its time zone. In place of ``ttl``.
        content_type: of text or bytes; the broker does not read it.
    """

    body: object
    attributes: Mapping[str, str] = field(default_factory=dict)
    deduplication_id: str = ""
    ordering_key: str = ""
    delay: timedelta | None = None
    deliver_time: datetime | None = None
    ttl: timedelta | None = None
    expire_time: datetime | None = None
    content_type: str = ""

    def encoded(self) -> pb.QueueMessage:
        """The message on the wire; raises BodyError, ValueError for a pair of times that exclude each other."""
        if self.delay is not None and self.deliver_time is not None:
            raise ValueError("delay and deliver_time exclude each other")
        if self.ttl is not None and self.expire_time is not None:
            raise ValueError("ttl and expire_time exclude each other")
        message = encode_body(self.body)
        message.deduplication_id, message.ordering_key = self.deduplication_id, self.ordering_key
        message.content_type = self.content_type
        message.attributes.update(self.attributes)
        if self.delay is not None:
            message.delay.CopyFrom(as_duration(self.delay))
        if self.deliver_time is not None:
            message.deliver_time.CopyFrom(_timestamp(self.deliver_time))
        if self.ttl is not None:
            message.ttl.CopyFrom(as_duration(self.ttl))
        if self.expire_time is not None:
            message.expire_time.CopyFrom(_timestamp(self.expire_time))
        return message


def new_message(body: object) -> NewMessage:
    """A body as a message; one that is a message already stays as it is."""
    if isinstance(body, pb.QueueMessage):
        raise BodyError("a QueueMessage is no body: send a NewMessage")
    return body if isinstance(body, NewMessage) else NewMessage(body=body)


def _timestamp(instant: datetime) -> Timestamp:
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone")
    timestamp = Timestamp()
    timestamp.FromDatetime(instant)
    return timestamp
