"""A service under fuzz: it runs on an event loop of its own that stands still between two calls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from structlog.testing import capture_logs

from mesh.channel import open_channel
from mesh.clock import SECOND
from mesh.server import Application, Server
from tests.support.fake_clock import FakeClock
from tests.support.fuzzed_bytes import leaks

T = TypeVar("T")
State = list[Message]

# A call that has no answer by then hangs.
DEADLINE = 20.0
# A call that is still waiting by then waits for the clock, which stands: it is turned past the longest wait there is.
PATIENCE = 0.3
LONGEST_WAIT = 61 * SECOND
REFUSALS = frozenset(
    {
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "FAILED_PRECONDITION",
        "ABORTED",
        "RESOURCE_EXHAUSTED",
        "UNIMPLEMENTED",
    }
)
FAULTS = frozenset({"call_failed", "store_failed", "storage_failed", "sweep_failed", "push_failed", "push_waits"})


@dataclass
class Answer:
    """How a call ended, and what came before."""

    code: str
    text: str = ""
    reason: str = ""
    responses: list[bytes] = field(default_factory=list)
    waited: bool = False

    @property
    def faults(self) -> list[str]:
        """What no answer may be."""
        found = [] if self.code == "OK" or self.code in REFUSALS else [f"{self.code}: {self.text}"]
        if self.code in REFUSALS and not self.reason:
            found.append(f"{self.code} without an ErrorInfo: {self.text}")
        return found + [f"tells {self.text}" for _ in range(leaks(self.text))]


class FuzzedService:
    """A channel to the service, and how to tell that it is well.

    Args:
        address: where the service listens.
        channel: to the service.
        clock: the service's.
        look: all that a caller can see of it.
        good: a good call or more; it fails when one does not go through.
    """

    def __init__(
        self,
        address: str,
        channel: grpc.aio.Channel,
        clock: FakeClock,
        look: Callable[[], Awaitable[State]],
        good: Callable[[], Awaitable[None]],
    ) -> None:
        self._address, self._channel, self._clock, self._look, self._good = address, channel, clock, look, good
        self._run: Callable[[Coroutine[Any, Any, Any]], Any] = lambda work: asyncio.run(work)
        self._logs: Sequence[dict[str, Any]] = ()
        self._state: State | None = None
        self._hangs = False

    def bind(self, runner: asyncio.Runner, logs: Sequence[Any]) -> None:
        """Take the loop that the service lives on, and what it logs."""
        self._run, self._logs = runner.run, logs

    def try_out(self, method: MethodDescriptor, frames: Sequence[bytes]) -> None:
        """Make a call with these bytes; fail unless it is answered as the contract says and harms nothing."""
        assert not self._hangs, "an earlier call hung"
        before: State = self._state or self._run(self._at_rest())
        answer: Answer = self._run(self._call(method, frames))
        self._hangs = answer.code == "DEADLINE_EXCEEDED"  # to find a smaller example would take for ever
        assert not answer.faults, answer.faults
        assert not self._faults_logged(), self._faults_logged()
        if answer.code == "OK" or answer.responses or answer.waited:
            self._state = None
        else:
            self._state = before
            assert self._run(self._seen()) == before, f"{answer.code} {answer.text}"

    def is_well(self) -> None:
        """Fail unless it says that it serves, and does."""
        self._run(self._serves())
        self._state = None
        assert not self._faults_logged(), self._faults_logged()

    def _faults_logged(self) -> list[Any]:
        return [entry for entry in self._logs if entry.get("action") in FAULTS]

    async def _seen(self) -> State:
        return await self._look()

    async def _at_rest(self) -> State:
        """What it shows once what an earlier call has begun is over."""
        before, after = None, await self._seen()
        while after != before:
            before, after = after, await self._seen()
        return after

    async def _serves(self) -> None:
        health = health_pb2_grpc.HealthStub(self._channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        await self._good()

    async def _call(self, method: MethodDescriptor, frames: Sequence[bytes]) -> Answer:
        call = asyncio.create_task(self._ended(method, frames))
        await asyncio.wait((call,), timeout=PATIENCE)
        if call.done():
            return await call
        self._clock.turn(LONGEST_WAIT)
        return replace(await call, waited=True)

    async def _ended(self, method: MethodDescriptor, frames: Sequence[bytes]) -> Answer:
        path = f"/{method.containing_service.full_name}/{method.name}"
        if method.client_streaming:
            return await asyncio.to_thread(self._streamed, path, frames)
        responses: list[bytes] = []
        try:
            if method.server_streaming:
                stream: Any = self._channel.unary_stream(path)
                responses += [one async for one in stream(frames[0], timeout=DEADLINE)]
            else:
                unary: Any = self._channel.unary_unary(path)
                responses.append(await unary(frames[0], timeout=DEADLINE))
        except grpc.aio.AioRpcError as error:
            return _read(error, responses)
        return Answer("OK", responses=responses)

    def _streamed(self, path: str, frames: Sequence[bytes]) -> Answer:
        # An asynchronous stream that ends while it is being written to loses its status: grpc.aio says INTERNAL.
        responses: list[bytes] = []
        with grpc.insecure_channel(self._address) as channel:
            stream: Any = channel.stream_stream(path)
            call = stream(iter(frames), timeout=DEADLINE)
            try:
                responses.extend(call)
            except grpc.RpcError:
                return _read(call, responses)
        return Answer("OK", responses=responses)


def _read(error: Any, responses: list[bytes]) -> Answer:
    info, texts = error_details_pb2.ErrorInfo(), [error.details() or ""]
    try:
        status = rpc_status.from_call(error)
        for detail in status.details if status is not None else ():
            detail.Unpack(info)
            texts.append(detail.value.decode(errors="replace"))
    except (DecodeError, ValueError) as wrong:
        texts.append(f"unreadable details: {type(wrong).__name__}")
    return Answer(error.code().name, " ".join(texts), info.reason, responses)


@asynccontextmanager
async def served(application: Application) -> AsyncIterator[tuple[str, grpc.aio.Channel]]:
    """Serve an application on a free port; its address, and a channel to it."""
    server = Server(application, ["127.0.0.1:0"], grace=1.0)
    await server.start()
    try:
        async with open_channel(server.addresses[0]) as channel:
            yield server.addresses[0], channel
    finally:
        await server.stop()


class _Bound(Protocol):
    def bind(self, runner: asyncio.Runner, logs: Sequence[Any]) -> None: ...


B = TypeVar("B", bound=_Bound)


@contextmanager
def under_fuzz(opened: Callable[[], AbstractAsyncContextManager[B]]) -> Iterator[B]:
    """Run a service on a loop of its own, and keep what it logs."""
    with capture_logs() as logs, asyncio.Runner() as runner:
        manager = opened()
        service = runner.run(_enter(manager))
        service.bind(runner, logs)
        try:
            yield service
        finally:
            runner.run(_leave(manager))


async def _enter(manager: AbstractAsyncContextManager[T]) -> T:
    return await manager.__aenter__()


async def _leave(manager: AbstractAsyncContextManager[Any]) -> None:
    await manager.__aexit__(None, None, None)
