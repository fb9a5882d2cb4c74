"""The id of a request: the caller's, or one made here; on every log line and on the way back and onward."""

from typing import Any

import grpc
import pytest

from baton.queue.v1.message_pb2 import QueueMessage
from mesh.errors import NotFound
from mesh.guard import MAX_REQUEST_ID, REQUEST_ID_KEY
from mesh.telemetry import request_id
from tests.support.probe import KINDS, Context, ProbeApplication, ProbeCalls
from tests.support.refusals import refused
from tests.support.running import running

HELLO = QueueMessage(text="hello")


class Telling(ProbeApplication):
    """Answers with the id that its log lines would bear."""

    async def unary(self, request: QueueMessage, context: Context) -> QueueMessage:
        return QueueMessage(text=request_id.get())


class Refusing(ProbeApplication):
    async def unary(self, request: QueueMessage, context: Context) -> QueueMessage:
        raise NotFound("QUEUE_NOT_FOUND", "no queue", resource_type="queue", resource_name="work")


class Forwarding(ProbeApplication):
    """Asks another service and answers what it says."""

    def __init__(self, onward: grpc.aio.Channel) -> None:
        super().__init__()
        self._onward = ProbeCalls(onward)

    async def unary(self, request: QueueMessage, context: Context) -> QueueMessage:
        answer: QueueMessage = await self._onward.unary(request)
        return answer


def sent(text: str) -> tuple[tuple[str, str], ...]:
    return ((REQUEST_ID_KEY, text),)


async def trailers(call: Any) -> list[str]:
    return [value for key, value in await call.trailing_metadata() if key == REQUEST_ID_KEY]


async def test_the_callers_id_is_kept_and_sent_back() -> None:
    async with running(Telling()) as channel:
        call = ProbeCalls(channel).unary(HELLO, metadata=sent("r-1"))

        assert (await call).text == "r-1"
        assert await trailers(call) == ["r-1"]


async def test_without_one_an_id_is_made_and_sent_back() -> None:
    async with running(Telling()) as channel:
        first, second = ProbeCalls(channel).unary(HELLO), ProbeCalls(channel).unary(HELLO)

        assert len((await first).text) == 32
        assert await trailers(first) == [(await first).text]
        assert (await second).text != (await first).text


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_call_sends_it_back(kind: str) -> None:
    async with running(ProbeApplication()) as channel:
        given: Any = iter([HELLO]) if kind in {"collect", "chat"} else HELLO
        call = getattr(ProbeCalls(channel), kind)(given, metadata=sent("r-1"))
        if kind in {"watch", "chat"}:
            assert [response async for response in call] == [HELLO]

        assert await call.code() is grpc.StatusCode.OK
        assert await trailers(call) == ["r-1"]


async def test_a_refused_call_sends_it_back_once() -> None:
    async with running(Refusing()) as channel:
        error = await refused(ProbeCalls(channel).unary(HELLO, metadata=sent("r-1")))

    assert [value for key, value in error.trailing_metadata() if key == REQUEST_ID_KEY] == ["r-1"]


async def test_an_empty_id_is_replaced() -> None:
    async with running(Telling()) as channel:
        answer = await ProbeCalls(channel).unary(HELLO, metadata=sent(""))

    assert len(answer.text) == 32


async def test_a_long_id_is_cut() -> None:
    async with running(Telling()) as channel:
        answer = await ProbeCalls(channel).unary(HELLO, metadata=sent("r" * 1_000))

    assert answer.text == "r" * MAX_REQUEST_ID


async def test_the_id_travels_onward_with_the_calls_made_meanwhile() -> None:
    async with running(Telling()) as inner, running(Forwarding(inner)) as outer:
        answer = await ProbeCalls(outer).unary(HELLO, metadata=sent("r-1"))

    assert answer.text == "r-1"
