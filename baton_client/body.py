"""Bodies between Python and the contract's four kinds.

| Python                      | on the wire |
| --------------------------- | ----------- |
| ``str``                     | text        |
| ``bytes``                   | data        |
| a protobuf message          | typed, under its full name |
| dict, list, number, bool, None, a dataclass | json |
"""

import dataclasses
import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtobufMessage
from google.protobuf.message_factory import GetMessageClass

from baton.queue.v1 import message_pb2 as pb
from baton_client.errors import BodyError

T = TypeVar("T")

_JSON_TYPES = (dict, list, int, float, bool, type(None))


def encode_body(body: object) -> pb.QueueMessage:
    """A message with that body and nothing else; raises BodyError for what no kind of body can carry."""
    match body:
        case str():
            return pb.QueueMessage(text=body)
        case bytes() | bytearray() | memoryview():
            return pb.QueueMessage(data=bytes(body))
        case ProtobufMessage():
            typed = pb.TypedBody(type_name=body.DESCRIPTOR.full_name, value=body.SerializeToString())
            return pb.QueueMessage(typed=typed)
        case _ if isinstance(body, (*_JSON_TYPES, tuple)) or _is_record(body):
            return pb.QueueMessage(json=_json_of(body))
        case _:
            raise BodyError(
                f"a body cannot be a {type(body).__name__}: send str, bytes, a protobuf message or JSON's types"
            )


def decoder(wanted: Any) -> Callable[[pb.QueueMessage], Any]:
    """A function from a message to its body as ``wanted``; it raises BodyError for a body that is none.

    Args:
        wanted: ``str``, ``bytes``, a protobuf message class, a dataclass, ``dict``, ``list``, or ``object`` and ``Any``
            for whatever the body is by itself.
    """
    if wanted in {Any, object, None}:
        return natural_body
    if wanted is str:
        return _text_of
    if wanted is bytes:
        return raw_body
    if isinstance(wanted, type) and issubclass(wanted, ProtobufMessage):
        return lambda message: _parsed(message, wanted)
    if isinstance(wanted, type) and dataclasses.is_dataclass(wanted):
        return lambda message: _record(message, wanted)
    origin = getattr(wanted, "__origin__", wanted)
    if origin in _JSON_TYPES:
        return lambda message: _json_value(message, origin)
    raise BodyError(
        f"a handler cannot take {wanted!r}: give str, bytes, a protobuf message, a dataclass, dict, list or object"
    )


def natural_body(message: pb.QueueMessage) -> Any:
    """The body as what it is by itself; a typed one as its message where this program knows the type."""
    match message.WhichOneof("body"):
        case "text":
            return message.text
        case "json":
            return json.loads(message.json)
        case "typed":
            return _known_type(message.typed)
        case _:
            return message.data


def raw_body(message: pb.QueueMessage) -> bytes:
    """The body's bytes, whatever its kind: text and JSON as UTF-8."""
    match message.WhichOneof("body"):
        case "text":
            return message.text.encode()
        case "json":
            return message.json.encode()
        case "typed":
            return message.typed.value
        case _:
            return message.data


def _text_of(message: pb.QueueMessage) -> str:
    match message.WhichOneof("body"):
        case "text":
            return message.text
        case "json":
            return message.json
        case kind:
            raise BodyError(f"the handler takes text, the body is {kind or 'absent'}")


def _known_type(typed: pb.TypedBody) -> ProtobufMessage:
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(typed.type_name)
    except KeyError:
        return typed
    return _decoded(GetMessageClass(descriptor), typed.value)


def _parsed(message: pb.QueueMessage, wanted: type[ProtobufMessage]) -> ProtobufMessage:
    name, kind = wanted.DESCRIPTOR.full_name, message.WhichOneof("body")
    if kind == "typed" and message.typed.type_name == name:
        return _decoded(wanted, message.typed.value)
    if kind == "data":
        return _decoded(wanted, message.data)
    found = message.typed.type_name if kind == "typed" else kind or "absent"
    raise BodyError(f"the handler takes {name}, the body is {found}")


def _decoded(wanted: type[ProtobufMessage], value: bytes) -> ProtobufMessage:
    try:
        return wanted.FromString(value)
    except DecodeError as error:
        raise BodyError(f"the body is no {wanted.DESCRIPTOR.full_name}") from error


def _json_value(message: pb.QueueMessage, wanted: type[T]) -> T:
    text = raw_body(message)
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BodyError(f"the body is no JSON: {error}") from error
    if wanted is float and type(value) is int:
        return cast("T", float(value))  # JSON does not tell the two apart
    if not isinstance(value, wanted):
        raise BodyError(f"the handler takes a JSON {wanted.__name__}, the body is a {type(value).__name__}")
    return value


def _record(message: pb.QueueMessage, wanted: type[T]) -> T:
    fields = _json_value(message, dict)
    try:
        return wanted(**fields)
    except TypeError as error:
        raise BodyError(f"the body is no {wanted.__name__}: {error}") from error


def _is_record(body: object) -> bool:
    return dataclasses.is_dataclass(body) and not isinstance(body, type)


def _json_of(body: object) -> str:
    plain = dataclasses.asdict(cast("Any", body)) if _is_record(body) else body
    try:
        return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise BodyError(f"the body is no JSON: {error}") from error
