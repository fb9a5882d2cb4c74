"""The details of a refused call: google.rpc's messages, declared here so that protobuf alone can read them.

They live in a descriptor pool of their own: a program may well have Google's package of the same messages loaded.
"""

from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from baton.queue.v1 import message_pb2
from baton_client.errors import CallError, Violation

DETAILS_KEY = "grpc-status-details-bin"
_PACKAGE = "baton_client"
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}

# google/rpc/error_details.proto, as far as it is read here: a message, then its fields by number.
_MESSAGES: dict[str, dict[str, str]] = {
    "Duration": {"seconds": "int64", "nanos": "int32"},
    "Entry": {"key": "string", "value": "string"},
    "RetryInfo": {"retry_delay": "Duration"},
    "ErrorInfo": {"reason": "string", "domain": "string", "metadata": "Entry[]"},
    "FieldViolation": {"field": "string", "description": "string"},
    "BadRequest": {"field_violations": "FieldViolation[]"},
}
_SCALARS = {
    "int64": FieldDescriptorProto.TYPE_INT64,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "string": FieldDescriptorProto.TYPE_STRING,
}


def _field(number: int, name: str, kind: str) -> FieldDescriptorProto:
    repeated, kind = kind.endswith("[]"), kind.removesuffix("[]")
    label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    if kind in _SCALARS:
        return FieldDescriptorProto(name=name, number=number, label=label, type=_SCALARS[kind])
    message = FieldDescriptorProto.TYPE_MESSAGE
    return FieldDescriptorProto(name=name, number=number, label=label, type=message, type_name=f".{_PACKAGE}.{kind}")


def _classes() -> dict[str, Any]:
    file = FileDescriptorProto(name=f"{_PACKAGE}/error_details.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        made = [_field(number, *field) for number, field in enumerate(fields.items(), start=1)]
        file.message_type.append(DescriptorProto(name=name, field=made))
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES}


_CLASSES = _classes()


def read_error(error: grpc.aio.AioRpcError) -> CallError:
    """A failed call as gRPC tells it, with what the broker says of it."""
    trailers = dict(error.trailing_metadata() or ())
    details = trailers.get(DETAILS_KEY, b"")
    status = message_pb2.Status(code=error.code().value[0], message=error.details() or "")
    if isinstance(details, bytes) and details:
        try:
            status = message_pb2.Status.FromString(details)
        except DecodeError:
            status.details.clear()  # a proxy's own trailer, perhaps: the code and the sentence still stand
    return read_status(status)


def read_status(status: message_pb2.Status) -> CallError:
    """A status as a stream carries it."""
    found = {detail.type_url.rpartition("/")[2]: detail for detail in status.details}
    info = _unpacked(found.get("google.rpc.ErrorInfo"), "ErrorInfo")
    retry = _unpacked(found.get("google.rpc.RetryInfo"), "RetryInfo")
    request = _unpacked(found.get("google.rpc.BadRequest"), "BadRequest")
    delay = retry.retry_delay
    return CallError(
        _CODES.get(status.code, "UNKNOWN"),
        status.message,
        reason=info.reason,
        metadata={entry.key: entry.value for entry in info.metadata},
        violations=tuple(Violation(each.field, each.description) for each in request.field_violations),
        retry_delay=timedelta(seconds=delay.seconds, microseconds=delay.nanos // 1000)
        if "google.rpc.RetryInfo" in found
        else None,
    )


def _unpacked(detail: AnyMessage | None, name: str) -> Any:
    """The detail as a message of that name; one with nothing in it when it is not there or cannot be read."""
    message = _CLASSES[name]()
    if detail is not None:
        try:
            message.MergeFromString(detail.value)
        except DecodeError:
            return _CLASSES[name]()
    return message
