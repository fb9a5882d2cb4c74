"""One call of any unary method with a message's body as its request: a queue in front of a service that knows none."""

from collections.abc import Iterator, Mapping
from urllib.parse import quote

import grpc

from baton.queue.v1 import message_pb2
from mesh.status import RemoteError, read_error
from queue_service.message import Delivery
from queue_service.message_encoding import body_value
from queue_service.push.call_end import CallEnd
from queue_service.queue_definition import Queue

_TEXTS = frozenset({"text", "json"})
#: Attributes that travel under their own names, so that a tracer on the other side finds them.
TRACE_KEYS = frozenset({"traceparent", "tracestate", "baggage"})

#: What a body that is no serialised message is rejected with.
BODY_NOT_BINARY = "BODY_NOT_BINARY"


def text_kind(content: message_pb2.QueueMessage) -> str | None:
    """Which kind of text the body is; None for one that can be a method's request."""
    kind = content.WhichOneof("body")
    return kind if kind in _TEXTS else None


async def call_method(
    channel: grpc.aio.Channel, queue: Queue, method: str, delivery: Delivery, content: message_pb2.QueueMessage
) -> CallEnd:
    """Call ``package.v1.Service/Method``, with the lease as the deadline; how it ended."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{method}")
    timeout = queue.consumer.visibility_timeout / 1e6
    try:
        metadata = tuple(metadata_of(queue.name, delivery, content.attributes))
        await call(body_value(content), timeout=timeout, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return CallEnd(read_error(error))
    except ValueError as error:  # gRPC's own, for a method name or metadata that it cannot send
        return CallEnd(RemoteError("INVALID_ARGUMENT", str(error)))
    return CallEnd()


def metadata_of(
    queue_name: str, delivery: Delivery, attributes: Mapping[str, str]
) -> Iterator[tuple[str, str | bytes]]:
    """What the method may want to know of the message; text that is no visible ASCII is percent-encoded."""
    yield "baton-queue", queue_name
    yield "baton-message-id", delivery.message.message_id
    yield "baton-attempt", str(delivery.attempt)
    for key, value in attributes.items():
        name = key if key in TRACE_KEYS else f"baton-attribute-{key}"
        if name.endswith("-bin"):  # gRPC sends such a key's value as bytes
            yield name, value.encode()
        else:
            yield name, value if _is_plain(value) else quote(value, safe=" !#$&'()*+,/:;=?@[]")


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable() and "%" not in value and value == value.strip()
