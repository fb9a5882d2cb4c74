"""Errors on their way to a caller, and back."""

from datetime import timedelta
from typing import TypeVar

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2
from grpc.aio import AioRpcError, Metadata

from mesh.errors import (
    Aborted,
    AlreadyExists,
    BatonError,
    FailedPrecondition,
    InvalidArgument,
    NotBuilt,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Violation,
)
from mesh.status import MAX_STATUS_BYTES, RemoteError, abort_arguments, domain_of, read_error, to_status

M = TypeVar("M", bound=Message)

DOMAIN = "queue.baton"
NOT_FOUND = NotFound("QUEUE_NOT_FOUND", "no queue work", resource_type="queue", resource_name="work")
EXISTS = AlreadyExists("QUEUE_EXISTS", "work is there", resource_type="queue", resource_name="work")
NOT_EMPTY = FailedPrecondition("QUEUE_NOT_EMPTY", "work holds messages", subject="work")
BACKLOG_FULL = ResourceExhausted("BACKLOG_FULL", "work is full", retry_delay=timedelta(milliseconds=1500))
EVERY_KIND = [
    (BatonError("INTERNAL", "internal error 7"), grpc.StatusCode.INTERNAL, "INTERNAL"),
    (InvalidArgument([Violation("queue", "is required")]), grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"),
    (NOT_FOUND, grpc.StatusCode.NOT_FOUND, "QUEUE_NOT_FOUND"),
    (EXISTS, grpc.StatusCode.ALREADY_EXISTS, "QUEUE_EXISTS"),
    (NOT_EMPTY, grpc.StatusCode.FAILED_PRECONDITION, "QUEUE_NOT_EMPTY"),
    (Aborted("ETAG_MISMATCH", "somebody was faster"), grpc.StatusCode.ABORTED, "ETAG_MISMATCH"),
    (BACKLOG_FULL, grpc.StatusCode.RESOURCE_EXHAUSTED, "BACKLOG_FULL"),
    (Unavailable("DRAINING", "going away"), grpc.StatusCode.UNAVAILABLE, "DRAINING"),
    (NotBuilt("PeekMessages"), grpc.StatusCode.UNIMPLEMENTED, "NOT_BUILT"),
]
LONG = "ü€😀" * 100_000


def unpacked(status: status_pb2.Status, kind: type[M]) -> list[M]:
    found = []
    for detail in status.details:
        message = kind()
        if detail.Unpack(message):
            found.append(message)
    return found


def call_error(status: status_pb2.Status) -> AioRpcError:
    """What a caller's library raises when it gets a status."""
    parts = abort_arguments(status)
    return AioRpcError(parts.code, Metadata(), Metadata(*parts.trailing_metadata), parts.details)


@pytest.mark.parametrize(("error", "code", "reason"), EVERY_KIND, ids=[reason for *_, reason in EVERY_KIND])
def test_every_kind_of_error_has_its_code_and_one_error_info(
    error: BatonError, code: grpc.StatusCode, reason: str
) -> None:
    status = to_status(error, DOMAIN)

    (info,) = unpacked(status, details.ErrorInfo)
    assert status.code == code.value[0]
    assert (info.reason, info.domain) == (reason, DOMAIN)
    assert status.message == str(error)


@pytest.mark.parametrize(("error", "code", "reason"), EVERY_KIND, ids=[reason for *_, reason in EVERY_KIND])
def test_every_kind_of_error_is_read_back_by_its_caller(error: BatonError, code: grpc.StatusCode, reason: str) -> None:
    remote = read_error(call_error(to_status(error, DOMAIN)))

    assert (remote.code, remote.reason, remote.domain) == (code.name, reason, DOMAIN)
    assert remote.message == error.message
    assert remote.retry_delay == getattr(error, "retry_delay", None)


def test_no_kind_of_error_is_forgotten_here() -> None:
    tried = {type(error) for error, *_ in EVERY_KIND}

    kinds, found = [BatonError], set()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind.__module__ == "mesh.errors" and not kind.__name__.startswith("_"):
            found.add(kind)

    assert tried == found


def test_invalid_argument_lists_every_violation() -> None:
    violations = [Violation("queue", "is required"), Violation("messages[3].delay", "must be at most 7d, is 8d")]

    status = to_status(InvalidArgument(violations), DOMAIN)

    (request,) = unpacked(status, details.BadRequest)
    assert [Violation(found.field, found.description) for found in request.field_violations] == violations
    assert status.message == "queue: is required (and 1 more)"


def test_a_thousand_violations_are_cut_and_counted() -> None:
    violations = [Violation(f"messages[{number}].delay", "must be at most 7d, is 604801s") for number in range(1_000)]

    status = to_status(InvalidArgument(violations), DOMAIN)

    (request,) = unpacked(status, details.BadRequest)
    *listed, last = request.field_violations
    assert status.ByteSize() <= MAX_STATUS_BYTES
    assert [found.field for found in listed] == [violation.field for violation in violations[: len(listed)]]
    assert last.description == f"and {1_000 - len(listed)} more, left out for length"


@pytest.mark.parametrize(
    "error",
    [
        InvalidArgument([Violation(LONG, LONG)] * 3),
        InvalidArgument([Violation("a", "b" * 3000)] * 1_000),
        BatonError("INTERNAL", LONG, metadata={"a": LONG, "b": LONG}),
        NotFound("QUEUE_NOT_FOUND", LONG, resource_type="queue", resource_name=LONG),
        AlreadyExists("QUEUE_EXISTS", LONG, resource_type="queue", resource_name=LONG),
        FailedPrecondition("QUEUE_NOT_EMPTY", LONG, subject=LONG),
        Unavailable("DRAINING", LONG, retry_delay=timedelta(seconds=1), metadata={"endpoint": LONG}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_status_is_too_large_for_trailers(error: BatonError) -> None:
    status = to_status(error, DOMAIN)

    (info,) = unpacked(status, details.ErrorInfo)
    assert status.ByteSize() <= MAX_STATUS_BYTES
    assert info.reason == error.reason


@pytest.mark.parametrize("error", [NOT_FOUND, EXISTS])
def test_a_resource_is_named(error: BatonError) -> None:
    (resource,) = unpacked(to_status(error, DOMAIN), details.ResourceInfo)

    assert (resource.resource_type, resource.resource_name) == ("queue", "work")
    assert resource.description == error.message


def test_a_failed_precondition_says_of_what() -> None:
    (failure,) = unpacked(to_status(NOT_EMPTY, DOMAIN), details.PreconditionFailure)

    (violation,) = failure.violations
    assert (violation.type, violation.subject, violation.description) == (
        "QUEUE_NOT_EMPTY",
        "work",
        "work holds messages",
    )


def test_an_error_that_passes_says_when_to_come_back_only_if_it_knows() -> None:
    knows = unpacked(to_status(BACKLOG_FULL, DOMAIN), details.RetryInfo)
    does_not = unpacked(to_status(Unavailable("DRAINING", "going away"), DOMAIN), details.RetryInfo)

    assert [retry.retry_delay.ToTimedelta() for retry in knows] == [timedelta(milliseconds=1500)]
    assert does_not == []


def test_details_that_contradict_the_code_are_left_out() -> None:
    trailers = abort_arguments(to_status(NOT_FOUND, DOMAIN)).trailing_metadata

    remote = read_error(AioRpcError(grpc.StatusCode.INTERNAL, Metadata(), Metadata(*trailers), "broken"))

    assert remote == RemoteError(code="INTERNAL", message="broken")


def test_details_that_do_not_parse_are_left_out() -> None:
    trailers = Metadata(("grpc-status-details-bin", b"\xff\xff\xff"))

    remote = read_error(AioRpcError(grpc.StatusCode.NOT_FOUND, Metadata(), trailers, "gone"))

    assert remote == RemoteError(code="NOT_FOUND", message="gone")


@pytest.mark.parametrize("seconds", [10**18, -1])
def test_a_retry_delay_that_cannot_be_waited_for_is_left_out(seconds: int) -> None:
    status = to_status(Unavailable("DRAINING", "going away"), DOMAIN)
    status.details.add().Pack(details.RetryInfo(retry_delay=Duration(seconds=seconds)))

    remote = read_error(call_error(status))

    assert (remote.reason, remote.retry_delay) == ("DRAINING", None)


def test_a_detail_that_does_not_parse_spoils_none_of_its_neighbours() -> None:
    status = to_status(Unavailable("DRAINING", "going away"), DOMAIN)
    status.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff")

    remote = read_error(call_error(status))

    assert (remote.reason, remote.retry_delay) == ("DRAINING", None)


@pytest.mark.parametrize(
    ("remote", "text"),
    [
        (RemoteError("NOT_FOUND", "no queue", reason="QUEUE_NOT_FOUND"), "QUEUE_NOT_FOUND: no queue"),
        (RemoteError("UNAVAILABLE", "connection refused"), "UNAVAILABLE: connection refused"),
        (RemoteError("CANCELLED", ""), "CANCELLED"),
    ],
)
def test_a_remote_error_fits_on_a_line(remote: RemoteError, text: str) -> None:
    assert str(remote) == text


@pytest.mark.parametrize(
    ("method", "domain"),
    [
        ("/baton.queue.v1.ProducerService/SendMessage", "queue.baton"),
        ("/baton.email.v1.EmailService/SendEmail", "email.baton"),
        ("/grpc.health.v1.Health/Check", "baton"),
    ],
)
def test_the_domain_is_the_contracts(method: str, domain: str) -> None:
    assert domain_of(method) == domain
