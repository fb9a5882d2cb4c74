"""What the guard lets through and what it keeps back, on a real server, for all four kinds of method."""

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import timedelta
from types import FrameType
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status
from structlog.testing import capture_logs

from baton.queue.v1.message_pb2 import QueueMessage
from mesh import guard
from mesh.errors import NotFound, Unavailable
from mesh.status import read_error
from tests.support.probe import KINDS, Context, ProbeApplication, ProbeCalls
from tests.support.refusals import refused, violations
from tests.support.running import running

SECRET = "postgresql://baton:hunter2@db/registrations"
HELLO = QueueMessage(text="hello")
ANSWER = QueueMessage(text="so far, so good")
NONSENSE = b"\x0a\xff"
NOT_THERE = NotFound("QUEUE_NOT_FOUND", "no queue work", resource_type="queue", resource_name="work")


class Failing(ProbeApplication):
    """Fails in every method, in the streams that answer after their first response."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def unary(self, request: QueueMessage, context: Context) -> QueueMessage:
        raise self._error

    async def watch(self, request: QueueMessage, context: Context) -> AsyncIterator[QueueMessage]:
        yield ANSWER
        raise self._error

    async def collect(self, requests: AsyncIterator[QueueMessage], context: Context) -> QueueMessage:
        raise self._error

    async def chat(self, requests: AsyncIterator[QueueMessage], context: Context) -> AsyncIterator[QueueMessage]:
        async for _ in requests:
            yield ANSWER
            raise self._error


def info(error: grpc.aio.AioRpcError) -> details.ErrorInfo:
    found = details.ErrorInfo()
    for detail in rpc_status.from_call(error).details:
        detail.Unpack(found)
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_call_is_served(kind: str) -> None:
    async with running(ProbeApplication()) as channel:
        assert await ProbeCalls(channel).call(kind, HELLO) == [HELLO]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "trouble", [ValueError(SECRET), StopAsyncIteration(SECRET), ExceptionGroup(SECRET, [OSError()])]
)
async def test_the_text_of_an_exception_never_leaves(kind: str, trouble: Exception) -> None:
    async with running(Failing(trouble)) as channel:
        with capture_logs() as logs:
            error = await refused(ProbeCalls(channel).call(kind, HELLO))

    everything = repr((error, error.trailing_metadata(), error.initial_metadata()))
    (record,) = (record for record in logs if record["action"] == "call_failed")
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in everything
    assert str(type(trouble).__name__) not in everything
    assert info(error).reason == "INTERNAL"
    assert info(error).metadata["error_id"] == record["error_id"]
    assert record["error_id"] in (error.details() or "")


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_of_ours_is_told_as_it_is(kind: str) -> None:
    async with running(Failing(NOT_THERE)) as channel:
        error = await refused(ProbeCalls(channel).call(kind, HELLO))

    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no queue work")
    assert (info(error).reason, info(error).domain) == ("QUEUE_NOT_FOUND", "queue.baton")


@pytest.mark.parametrize("kind", KINDS)
async def test_bytes_that_are_no_request_are_an_invalid_argument(kind: str) -> None:
    async with running(ProbeApplication()) as channel:
        error = await refused(ProbeCalls(channel).call(kind, NONSENSE))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert info(error).reason == "FIELD_INVALID"
    assert violations(error) == {"request": "2 bytes that are not this method's request message"}


@pytest.mark.parametrize("kind", KINDS)
async def test_all_violations_are_told_at_once(kind: str) -> None:
    wrong = QueueMessage(json="{", delay=Duration(seconds=-1), ttl=Duration(seconds=59), deduplication_id="d" * 129)

    async with running(ProbeApplication()) as channel:
        error = await refused(ProbeCalls(channel).call(kind, wrong))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations(error).keys() == {"json", "delay", "ttl", "deduplication_id"}
    assert read_error(error).reason == "FIELD_INVALID"


@pytest.mark.parametrize("wrong", [NONSENSE, QueueMessage(json="{")])
async def test_a_later_message_of_a_stream_is_checked_too(wrong: bytes | QueueMessage) -> None:
    async with running(ProbeApplication()) as channel:
        chat = ProbeCalls(channel).chat()
        await chat.write(HELLO)
        assert await chat.read() == HELLO

        await chat.write(wrong)
        error = await refused(chat.read())

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_method_there_is_not_is_unimplemented() -> None:
    async with running(ProbeApplication()) as channel:
        error = await refused(ProbeCalls(channel).unknown(HELLO))

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_abort_of_the_servicers_own_passes() -> None:
    class Aborting(ProbeApplication):
        async def unary(self, request: QueueMessage, context: Context) -> QueueMessage:
            await context.abort(grpc.StatusCode.DATA_LOSS, "gone")
            raise AssertionError("not reached")

    async with running(Aborting()) as channel:
        error = await refused(ProbeCalls(channel).unary(HELLO))

    assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "gone")


async def test_a_stream_may_be_written_instead_of_yielded() -> None:
    class Writing(ProbeApplication):
        async def watch(self, request: QueueMessage, context: Context) -> Any:  # type: ignore[override]
            await context.write(request)

    async with running(Writing()) as channel:
        assert await ProbeCalls(channel).call("watch", HELLO) == [HELLO]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_call_ends_in_its_servicer_as_cancelled(kind: str) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    class Waiting(ProbeApplication):
        async def wait(self) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.set()
                raise

        async def unary(self, request: QueueMessage, context: Context) -> QueueMessage:
            await self.wait()
            return request

        async def watch(self, request: QueueMessage, context: Context) -> AsyncIterator[QueueMessage]:
            await self.wait()
            yield request

        async def collect(self, requests: AsyncIterator[QueueMessage], context: Context) -> QueueMessage:
            await self.wait()
            return HELLO

        async def chat(self, requests: AsyncIterator[QueueMessage], context: Context) -> AsyncIterator[QueueMessage]:
            await self.wait()
            yield HELLO

    async with running(Waiting()) as channel:
        with capture_logs() as logs:
            call = asyncio.create_task(ProbeCalls(channel).call(kind, HELLO))
            await begun.wait()
            call.cancel()
            await asyncio.wait_for(ended.wait(), 5)

    assert [record for record in logs if record["action"] == "call_failed"] == []


async def test_an_answer_to_come_back_later_stops_the_callers_library_from_retrying() -> None:
    async with running(Failing(Unavailable("DRAINING", "soon", retry_delay=timedelta(seconds=1)))) as channel:
        error = await refused(ProbeCalls(channel).unary(HELLO))

    assert dict(error.trailing_metadata())["grpc-retry-pushback-ms"] == "-1"
    assert read_error(error).retry_delay == timedelta(seconds=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trouble", [NOT_THERE, ValueError(SECRET)], ids=["refused", "unforeseen"])
async def test_a_refused_call_leaves_nothing_of_its_request_in_memory(kind: str, trouble: Exception) -> None:
    """What a cycle of frames holds stays until the garbage collector comes by, which may take hundreds of calls."""
    gc.collect()
    gc.disable()
    try:
        async with running(Failing(trouble)) as channel:
            await refused(ProbeCalls(channel).call(kind, HELLO))
        held = [value for frame in _server_frames() for value in frame.f_locals.values()]
    finally:
        gc.enable()

    assert [value for value in held if value == HELLO or value == HELLO.SerializeToString()] == []


def _server_frames() -> list[FrameType]:
    """The frames of the guard, and of the servicer behind it, that something still holds."""
    frames = [each for each in gc.get_objects() if isinstance(each, FrameType)]
    return [
        frame
        for frame in frames
        if frame.f_code.co_filename == guard.__file__ or isinstance(frame.f_locals.get("self"), Failing)
    ]
