"""A refusal held against the row that it answers."""

import grpc
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tests.support.bad_requests.row import Bad

DOMAIN = "queue.baton"


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The status that a failed call carries."""
    status = rpc_status.from_call(error)
    return status if isinstance(status, status_pb2.Status) else status_pb2.Status(code=error.code().value[0])


def wrong_with(status: Message, row: Bad) -> list[str]:
    """How a refusal differs from what the contract says; empty when it does not.

    ``status`` is a google.rpc.Status, or the contract's own, which is the same on the wire.
    """
    plain = status_pb2.Status.FromString(status.SerializeToString())
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in plain.details:
        _unpack(detail, info, request)
    found = []
    code = getattr(grpc.StatusCode, row.code).value[0]
    if (plain.code, info.reason, info.domain) != (code, row.reason, DOMAIN):
        found.append(f"{row}: is {plain.code} {info.reason} of {info.domain}: {plain.message}")
    if row.reason == "FIELD_INVALID":
        violations = {violation.field: violation.description for violation in request.field_violations}
        if violations.keys() != {row.field}:
            found.append(f"{row}: names {sorted(violations)}")
        said = " ".join(violations.values())
        found += [f"{row}: does not say {words!r}: {said}" for words in row.says if words not in said]
    return found


def _unpack(detail: PackedAny, *into: Message) -> None:
    for message in into:
        detail.Unpack(message)  # which does nothing where the detail is of another type
