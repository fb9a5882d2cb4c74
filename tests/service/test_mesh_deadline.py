"""Deadlines of real calls: where they come from, and how they travel inwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext

import grpc
import pytest

from baton.queue.v1.message_pb2 import QueueMessage
from mesh.channel import DEFAULT_TIMEOUT, open_channel
from mesh.deadline import detached
from mesh.errors import Unavailable
from mesh.server import Server
from tests.support.probe import Context, ProbeApplication, ProbeCalls
from tests.support.refusals import refused
from tests.support.running import running

HELLO = QueueMessage(text="hello")
ENDLESS = "none"


def left(context: Context) -> QueueMessage:
    seconds = context.time_remaining()
    return QueueMessage(text=ENDLESS if seconds is None or seconds > 1e6 else str(seconds))


class Telling(ProbeApplication):
    """Answers with the seconds that its caller waits."""

    async def unary(self, request: QueueMessage, context: Context) -> QueueMessage:
        return left(context)

    async def watch(self, request: QueueMessage, context: Context) -> AsyncIterator[QueueMessage]:
        yield left(context)


class Sleeping(ProbeApplication):
    def __init__(self) -> None:
        super().__init__()
        self.begun, self.cancelled = asyncio.Event(), asyncio.Event()

    async def unary(self, request: QueueMessage, context: Context) -> QueueMessage:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return request


class Onward(ProbeApplication):
    """Asks another service, by the kind of method that the request names, or detached from its own call."""

    def __init__(self, onward: grpc.aio.Channel) -> None:
        super().__init__()
        self._onward = ProbeCalls(onward)

    async def unary(self, request: QueueMessage, context: Context) -> QueueMessage:
        with detached() if request.text == "detached" else nullcontext():
            kind = "watch" if request.text == "detached" else request.text
            try:
                (answer,) = await self._onward.call(kind, HELLO)
            except grpc.aio.AioRpcError as error:
                raise Unavailable("INNER_CALL_FAILED", error.code().name) from error
        return answer


async def test_a_call_without_a_timeout_gets_the_channels() -> None:
    async with running(Telling()) as channel:
        answer = await ProbeCalls(channel).unary(HELLO)

    assert float(answer.text) == pytest.approx(DEFAULT_TIMEOUT, abs=1)


async def test_a_channel_may_have_a_timeout_of_its_own_and_a_call_too() -> None:
    server = Server(Telling(), ["127.0.0.1:0"], grace=0)
    await server.start()
    async with open_channel(server.addresses[0], timeout=60) as channel:
        by_channel = await ProbeCalls(channel).unary(HELLO)
        by_call = await ProbeCalls(channel).unary(HELLO, timeout=2)
    await server.stop()

    assert float(by_channel.text) == pytest.approx(60, abs=5)
    assert float(by_call.text) == pytest.approx(2, abs=1)


async def test_a_stream_without_a_timeout_has_none() -> None:
    async with running(Telling()) as channel:
        (answer,) = await ProbeCalls(channel).call("watch", HELLO)

    assert answer.text == ENDLESS


async def test_a_stream_may_outlive_the_timeout_of_its_channel() -> None:
    class Late(ProbeApplication):
        async def watch(self, request: QueueMessage, context: Context) -> AsyncIterator[QueueMessage]:
            await asyncio.sleep(0.3)
            yield request

    server = Server(Late(), ["127.0.0.1:0"], grace=0)
    await server.start()
    async with open_channel(server.addresses[0], timeout=0.1) as channel:
        answers = await ProbeCalls(channel).call("watch", HELLO)
    await server.stop()

    assert answers == [HELLO]


@pytest.mark.parametrize("kind", ["unary", "watch"])
async def test_an_inner_call_ends_before_its_caller_stops_waiting(kind: str) -> None:
    async with running(Telling()) as inner, running(Onward(inner)) as outer:
        answer = await ProbeCalls(outer).unary(QueueMessage(text=kind), timeout=2)

    assert 1 < float(answer.text) < 2


async def test_detached_work_is_not_bound_by_the_call_it_began_in() -> None:
    async with running(Telling()) as inner, running(Onward(inner)) as outer:
        answer = await ProbeCalls(outer).unary(QueueMessage(text="detached"), timeout=2)

    assert answer.text == ENDLESS


async def test_when_the_time_is_up_the_inner_call_ends_first_and_the_caller_still_gets_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mesh.deadline.MARGIN", 0.5)
    sleeping = Sleeping()

    async with running(sleeping) as inner, running(Onward(inner)) as outer:
        error = await refused(ProbeCalls(outer).unary(QueueMessage(text="unary"), timeout=0.8))
        await asyncio.wait_for(sleeping.cancelled.wait(), 5)

    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "DEADLINE_EXCEEDED")


async def test_a_caller_who_no_longer_waits_ends_the_inner_call_too() -> None:
    sleeping = Sleeping()

    async with running(sleeping) as inner, running(Onward(inner)) as outer:
        call = ProbeCalls(outer).unary(QueueMessage(text="unary"))
        await sleeping.begun.wait()
        call.cancel()

        await asyncio.wait_for(sleeping.cancelled.wait(), 5)
