"""What the broker says of a refused call, read by a client that has nothing but protobuf."""

from datetime import timedelta

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from baton.queue.v1 import message_pb2
from baton_client.error_details import DETAILS_KEY, read_error, read_status
from baton_client.errors import CallError, Violation
from mesh.errors import BatonError, InvalidArgument, ResourceExhausted
from mesh.errors import Violation as BrokersViolation
from mesh.status import to_status


def failed(code: grpc.StatusCode, details: bytes | None) -> grpc.aio.AioRpcError:
    trailers = grpc.aio.Metadata() if details is None else grpc.aio.Metadata((DETAILS_KEY, details))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details="as it was said")


def said(error: BatonError) -> message_pb2.Status:
    return message_pb2.Status.FromString(to_status(error, "queue.baton").SerializeToString())


def test_reason_metadata_and_delay_are_the_brokers_own() -> None:
    full = ResourceExhausted(
        "BACKLOG_FULL", "no room", retry_delay=timedelta(seconds=1.5), metadata={"queue": "q", "limit": "10"}
    )

    error = read_status(said(full))

    assert (error.code, error.reason, error.message) == ("RESOURCE_EXHAUSTED", "BACKLOG_FULL", "no room")
    assert error.metadata == {"queue": "q", "limit": "10"}
    assert error.retry_delay == timedelta(seconds=1.5)
    assert error.passing


def test_every_violation_is_there() -> None:
    wrong = InvalidArgument([BrokersViolation("a.b", "must be 1, is 2"), BrokersViolation("c", "is required")])

    error = read_error(failed(grpc.StatusCode.INVALID_ARGUMENT, said(wrong).SerializeToString()))

    assert error.violations == (Violation("a.b", "must be 1, is 2"), Violation("c", "is required"))
    assert str(error) == "INVALID_ARGUMENT (FIELD_INVALID): a.b: must be 1, is 2; c: is required"
    assert not error.passing


def test_an_error_of_grpcs_own_has_a_code_and_a_sentence() -> None:
    error = read_error(failed(grpc.StatusCode.UNAVAILABLE, None))

    assert (error.code, error.reason, error.message) == ("UNAVAILABLE", "", "as it was said")
    assert error.passing


@pytest.mark.parametrize("details", [b"\xff\xff\xff", b"nonsense"])
def test_details_that_are_none_are_passed_over(details: bytes) -> None:
    assert read_error(failed(grpc.StatusCode.NOT_FOUND, details)).code == "NOT_FOUND"


def test_a_detail_that_cannot_be_read_is_passed_over() -> None:
    detail = AnyMessage(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")

    assert read_status(message_pb2.Status(code=5, details=[detail])).reason == ""


@pytest.mark.parametrize(
    ("code", "passing"),
    [("UNAVAILABLE", True), ("DEADLINE_EXCEEDED", True), ("INTERNAL", True), ("RESOURCE_EXHAUSTED", False)],
)
def test_what_may_pass_by_itself_is_told_apart(code: str, passing: bool) -> None:
    assert CallError(code, "said").passing is passing
