"""Errors to ``google.rpc.Status`` and back: the one place where our errors meet gRPC's codes."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2
from grpc_status import rpc_status

from mesh.errors import (
    AlreadyExists,
    BatonError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Violation,
)

# Trailers beyond 8 KiB are refused by other gRPC stacks, and the status travels twice in them, once in base64.
MAX_STATUS_BYTES = 4096
# What one text of a status may take of that, as UTF-8.
MAX_TEXT_BYTES = 512


@dataclass(frozen=True, slots=True)
class RemoteError:
    """What another service answered: code name, ErrorInfo (empty strings when it sent none) and RetryInfo."""

    code: str
    message: str
    reason: str = ""
    domain: str = ""
    retry_delay: timedelta | None = None

    def __str__(self) -> str:
        """Code, reason and text on one line, for logs and stored errors."""
        return f"{self.reason or self.code}: {self.message}" if self.message else self.reason or self.code


def domain_of(method: str) -> str:
    """The ErrorInfo domain of a full method name: ``/baton.queue.v1.X/Y`` is of ``queue.baton``."""
    parts = method.lstrip("/").split(".")
    return f"{parts[1]}.baton" if parts[0] == "baton" and len(parts) > 2 else "baton"


def to_status(error: BatonError, domain: str) -> status_pb2.Status:
    """The status of an error, never larger than ``MAX_STATUS_BYTES``."""
    status = status_pb2.Status(code=getattr(grpc.StatusCode, error.code).value[0], message=_shortened(error.message))
    metadata = {key: _shortened(value) for key, value in error.metadata.items()}
    _pack(status, details.ErrorInfo(reason=error.reason, domain=domain, metadata=metadata))
    for detail in _details(error):
        _pack(status, detail)
    return status


def read_error(error: grpc.RpcError) -> RemoteError:
    """What a failed call's error says; anything unreadable in its details is left out."""
    code = error.code().name if isinstance(error, grpc.aio.AioRpcError) else "UNKNOWN"
    message = (error.details() or "") if isinstance(error, grpc.aio.AioRpcError) else ""
    info, retry = details.ErrorInfo(), details.RetryInfo()
    for detail in _status_details(error):
        with suppress(DecodeError):
            detail.Unpack(info)
            detail.Unpack(retry)
    return RemoteError(code, message, reason=info.reason, domain=info.domain, retry_delay=_retry_delay(retry))


def _retry_delay(retry: details.RetryInfo) -> timedelta | None:
    if not retry.HasField("retry_delay"):
        return None
    try:
        delay: timedelta = retry.retry_delay.ToTimedelta()
    except (OverflowError, ValueError):  # a peer may send what no duration can be
        return None
    return delay if delay >= timedelta() else None


def _status_details(error: grpc.RpcError) -> list[any_pb2.Any]:
    try:
        status = rpc_status.from_call(error)
    except (ValueError, TypeError, DecodeError):  # a peer's details may contradict its code, or not parse
        return []
    return list(status.details) if status is not None else []


def _details(error: BatonError) -> list[Message]:
    found: list[Message] = []
    if isinstance(error, InvalidArgument):
        found.append(_bad_request(error.violations))
    if isinstance(error, NotFound | AlreadyExists):
        found.append(
            details.ResourceInfo(
                resource_type=error.resource_type,
                resource_name=_shortened(error.resource_name),
                description=_shortened(error.message),
            )
        )
    if isinstance(error, FailedPrecondition):
        failure = details.PreconditionFailure.Violation(
            type=error.reason, subject=_shortened(error.subject), description=_shortened(error.message)
        )
        found.append(details.PreconditionFailure(violations=[failure]))
    retry_delay: timedelta | None = getattr(error, "retry_delay", None)
    if retry_delay is not None:
        found.append(details.RetryInfo(retry_delay=retry_delay))
    return found


def _bad_request(violations: tuple[Violation, ...]) -> details.BadRequest:
    request, room = details.BadRequest(), MAX_STATUS_BYTES - 1024
    for number, violation in enumerate(violations):
        entry = details.BadRequest.FieldViolation(
            field=_shortened(violation.field), description=_shortened(violation.description)
        )
        room -= entry.ByteSize() + 4
        if room < 0:
            left = len(violations) - number
            request.field_violations.add(field="", description=f"and {left} more, left out for length")
            break
        request.field_violations.append(entry)
    return request


def _pack(status: status_pb2.Status, detail: Message) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    if status.ByteSize() + packed.ByteSize() + 4 <= MAX_STATUS_BYTES:
        status.details.append(packed)


def _shortened(text: str) -> str:
    """The text in at most ``MAX_TEXT_BYTES``, and in no bytes that protobuf refuses."""
    raw = text.encode(errors="replace")
    if len(raw) > MAX_TEXT_BYTES:
        return f"{raw[: MAX_TEXT_BYTES - 3].decode(errors='ignore')}..."
    return raw.decode()


def abort_arguments(status: status_pb2.Status) -> Any:
    """The status in the shape ``ServicerContext.abort_with_status`` takes."""
    return rpc_status.to_status(status)
