"""How a server stops: in order, whatever is in flight, as often as it is told."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from baton.queue.v1.message_pb2 import QueueMessage
from mesh.channel import open_channel
from mesh.server import Server
from tests.support.probe import Context, ProbeApplication, ProbeCalls
from tests.support.refusals import refused

HELLO = QueueMessage(text="hello")


class Slow(ProbeApplication):
    """Answers when it is let; its streams end when it drains."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.let, self.draining = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def unary(self, request: QueueMessage, context: Context) -> QueueMessage:
        self.begun.set()
        await self.let.wait()
        self.steps.append("answer")
        return request

    async def watch(self, request: QueueMessage, context: Context) -> AsyncIterator[QueueMessage]:
        yield request
        await self.draining.wait()
        yield QueueMessage(text="goodbye")

    async def drain(self) -> None:
        await super().drain()
        self.draining.set()


async def started(application: ProbeApplication, *, grace: float) -> Server:
    server = Server(application, ["127.0.0.1:0"], grace=grace)
    await server.start()
    return server


async def test_a_call_in_flight_finishes_and_new_ones_are_refused() -> None:
    application = Slow()
    server = await started(application, grace=10)
    async with open_channel(server.addresses[0]) as channel:
        calls = ProbeCalls(channel)
        in_flight = calls.unary(HELLO)
        await application.begun.wait()

        stop = asyncio.create_task(server.stop())
        await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)  # the server has said goodbye
        late = await refused(calls.unary(HELLO))
        application.let.set()

        assert await in_flight == HELLO
        await stop
    assert late.code() is grpc.StatusCode.UNAVAILABLE
    assert application.steps == ["start", "drain", "answer", "close"]


async def test_a_call_that_outlasts_the_grace_is_ended() -> None:
    application = Slow()
    server = await started(application, grace=0.1)
    async with open_channel(server.addresses[0]) as channel:
        in_flight = ProbeCalls(channel).unary(HELLO)
        await application.begun.wait()

        await server.stop()
        error = await refused(in_flight)

    assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert application.steps == ["start", "drain", "close"]


async def test_a_stream_that_ends_itself_while_draining_ends_well() -> None:
    server = await started(Slow(), grace=10)
    async with open_channel(server.addresses[0]) as channel:
        watch = ProbeCalls(channel).watch(HELLO)
        await watch.read()

        await server.stop()
        rest = [response.text async for response in watch]

        assert rest == ["goodbye"]
        assert await watch.code() is grpc.StatusCode.OK


async def test_stopping_twice_stops_once() -> None:
    application = ProbeApplication()
    server = await started(application, grace=0.1)

    await asyncio.gather(server.stop(), server.stop())
    await server.stop()

    assert application.steps == ["start", "drain", "close"]


async def test_giving_up_the_wait_for_a_stop_does_not_stop_it() -> None:
    application = Slow()
    server = await started(application, grace=10)
    async with open_channel(server.addresses[0]) as channel:
        in_flight = ProbeCalls(channel).unary(HELLO)
        await application.begun.wait()
        impatient = asyncio.create_task(server.stop())
        await application.draining.wait()

        impatient.cancel()
        application.let.set()

        assert await in_flight == HELLO
        await server.stop()
    assert application.steps[-1] == "close"


async def test_a_server_that_never_started_can_be_stopped_and_closes_its_application() -> None:
    application = ProbeApplication()

    await Server(application, ["127.0.0.1:0"]).stop()

    assert application.steps == ["close"]


async def test_an_application_that_cannot_start_is_closed_and_nothing_is_served() -> None:
    class Broken(ProbeApplication):
        async def start(self) -> None:
            raise RuntimeError("no queues")

    application = Broken()
    server = Server(application, ["127.0.0.1:0"], grace=0.1)

    with pytest.raises(RuntimeError, match="no queues"):
        await server.start()
    await server.stop()

    assert application.steps[-1] == "close"
    async with open_channel(server.addresses[0]) as channel:
        error = await refused(ProbeCalls(channel).unary(HELLO, timeout=0.3))
    assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


async def test_calls_are_served_only_once_the_application_has_started() -> None:
    class Loading(ProbeApplication):
        async def start(self) -> None:
            async with open_channel(server.addresses[0]) as channel:
                early = await refused(ProbeCalls(channel).unary(HELLO, timeout=0.2))
            self.steps.append(early.code().name)

    application = Loading()
    server = Server(application, ["127.0.0.1:0"], grace=0.1)
    await server.start()
    async with open_channel(server.addresses[0]) as channel:
        answer = await ProbeCalls(channel).unary(HELLO)
    await server.stop()

    assert answer == HELLO
    assert application.steps[0] in {"DEADLINE_EXCEEDED", "UNAVAILABLE"}
