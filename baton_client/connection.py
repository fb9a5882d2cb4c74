"""One connection to a broker: its channel, its stubs, and the one place where gRPC's errors become ours."""

import asyncio
import json
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import grpc

from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceStub
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from baton_client.backoff import wait_after
from baton_client.error_details import read_error
from baton_client.errors import CallError, Closed

if TYPE_CHECKING:
    from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceAsyncStub
    from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceAsyncStub
    from baton.queue.v1.queue_service_pb2_grpc import QueueServiceAsyncStub

T = TypeVar("T")
Request = TypeVar("Request", contravariant=True)
Response = TypeVar("Response", covariant=True)

#: Seconds that one try of a call may take.
CALL_TIMEOUT = 10.0
#: Bytes of one message received at most, which is what the broker takes; its largest answer is 3 MiB and some framing.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

# Keepalive acts only with all of its options: it finds a connection that has gone dark in some 25 seconds.
OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),
)

Metadata = Sequence[tuple[str, str]]


class UnaryMethod(Protocol[Request, Response]):
    """A method of a stub."""

    def __call__(self, request: Request, /, *, timeout: float, metadata: Any) -> Awaitable[Response]:
        """Begin a call."""


class Connection:
    """A broker's address and, once it is first used, the channel to it. Used from one event loop.

    Args:
        target: a gRPC target: ``127.0.0.1:50052``, ``unix:/run/baton/queue.sock``, ``dns:///queue:50052``.
        credentials: for TLS; None for none.
        metadata: sent with every call, such as an authorization.
        draw: a number in [0, 1), for waits that many clients must not share.
        new_id: a new unique id each time.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
        draw: Callable[[], float] = random.random,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self.target, self.metadata, self.draw, self.new_id = target, tuple(metadata), draw, new_id
        self._credentials = credentials
        self._channel: grpc.aio.Channel | None = None
        self._stubs: dict[Callable[[grpc.aio.Channel], Any], Any] = {}
        self._closed = False
        self.trouble = ""
        """What stands in the way of calls, as a clause; empty after one that was answered."""

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel, made at its first use, since it belongs to the event loop that runs then; raises Closed."""
        self.be_open()
        loop = asyncio.get_running_loop()
        if self._channel is None:
            self._loop = loop
            options = (*OPTIONS, ("grpc.service_config", _service_config()))
            if self._credentials is None:
                self._channel = grpc.aio.insecure_channel(self.target, options=options)
            else:
                self._channel = grpc.aio.secure_channel(self.target, self._credentials, options=options)
        if loop is not self._loop:
            raise RuntimeError("a client stays on the event loop that it was first used on: make one for each loop")
        return self._channel

    @property
    def queues(self) -> "QueueServiceAsyncStub":
        """Administration."""
        return self._stub(QueueServiceStub)

    @property
    def producer(self) -> "ProducerServiceAsyncStub":
        """Sends."""
        return self._stub(ProducerServiceStub)

    @property
    def consumer(self) -> "ConsumerServiceAsyncStub":
        """Deliveries and settlements."""
        return self._stub(ConsumerServiceStub)

    def _stub(self, kind: Callable[[grpc.aio.Channel], T]) -> T:
        """The stub of a service: made once, since every call and every batch of sends asks for one."""
        channel = self.channel
        if kind not in self._stubs:
            self._stubs[kind] = kind(channel)
        stub: T = self._stubs[kind]
        return stub

    async def call(
        self, method: UnaryMethod[Request, Response], request: Request, *, timeout: float = CALL_TIMEOUT
    ) -> Response:
        """Make one call; raises CallError, and Closed when the connection is closed meanwhile."""
        self.be_open()
        try:
            answer = await method(request, timeout=timeout, metadata=self.metadata)
        except grpc.aio.AioRpcError as error:
            said = read_error(error)
            self.trouble = f"; the last try ended in {said}"
            raise said from error
        except asyncio.CancelledError:
            self.notice_closed()
            raise
        self.trouble = ""
        return answer

    async def persist(
        self,
        method: UnaryMethod[Request, Response],
        request: Request,
        *,
        goes_on: Callable[[CallError], bool] = lambda _: True,
        timeout: float = CALL_TIMEOUT,
    ) -> Response:
        """Make a call that is safe to repeat, again and again while what stands in its way is passing.

        Args:
            method: the method.
            request: its request, the same in every try.
            goes_on: told the error, whether to try again; if not, that error stands.
            timeout: seconds for each try.

        Raises:
            CallError: what does not pass by itself, or the last of those that do.
        """
        failures = 0
        while True:
            try:
                return await self.call(method, request, timeout=timeout)
            except CallError as error:
                failures += 1
                if not error.passing or not goes_on(error):
                    raise
                await asyncio.sleep(self.wait_after(failures, error))

    def wait_after(self, failures: int, error: CallError | None = None) -> float:
        """Seconds to wait before another try."""
        return wait_after(failures, self.draw, error.retry_delay if error is not None else None)

    def be_open(self) -> None:
        """Raise Closed if the connection is closed."""
        if self._closed:
            raise Closed("the client is closed")

    def notice_closed(self) -> None:
        """Raise Closed where gRPC has cancelled a call as its channel was closed: it looks as if the caller had."""
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            self.be_open()

    async def close(self) -> None:
        """End the connection for good. Safe twice."""
        self._closed = True
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


def _service_config() -> str:
    """The contract's own retries of what is safe to repeat, calls spread over every address of a target."""
    text = files("baton.queue.v1").joinpath("service_config.json").read_text(encoding="utf-8")
    config = json.loads(text)
    config["loadBalancingConfig"] = [{"round_robin": {}}]
    return json.dumps(config)
