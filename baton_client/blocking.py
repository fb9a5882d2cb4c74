"""The client for scripts: every call waits for its answer. An event loop in a thread of its own does the work."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import timedelta
from typing import Any, Self, TypeVar

import grpc

from baton.queue.v1 import consumer_service_pb2 as pb
from baton.queue.v1 import message_pb2
from baton_client.body import decoder
from baton_client.connection import CALL_TIMEOUT, Connection, Metadata
from baton_client.errors import CallError, Closed
from baton_client.lease_outcome import LeaseOutcome
from baton_client.outcome import Ack, Outcome, as_duration
from baton_client.producer import TIMEOUT, Producer, SendResult

T = TypeVar("T")
Decode = Callable[[message_pb2.QueueMessage], Any]


class BlockingMessage:
    """A pulled message. Its lease is not renewed by itself: settle it in time, or `extend` it.

    Attributes:
        queue: where it came from.
        raw: the message as it came over the wire.
        lease_id: the broker's name for this delivery.
        attempt: 1 + the failures so far.
        last_attempt: whether a failure of this one is final.
    """

    def __init__(self, client: "BlockingClient", queue: str, leased: message_pb2.LeasedMessage, decode: Decode) -> None:
        self._client, self.queue, self.raw, self._decode = client, queue, leased.message, decode
        self.lease_id, self.attempt, self.last_attempt = leased.lease_id, leased.attempt, leased.last_attempt

    @property
    def id(self) -> str:
        """The message's id."""
        return self.raw.message_id

    @property
    def body(self) -> Any:
        """What was sent, as it was asked for; raises BodyError, which says nothing of its neighbours."""
        return self._decode(self.raw)

    def ack(self) -> LeaseOutcome:
        """Done."""
        return self.settle(Ack())

    def settle(self, outcome: Outcome) -> LeaseOutcome:
        """Say what is to become of it: `Ack`, `Retry`, `Release` or `Reject`; raises CallError."""
        return self._client.settle(self.queue, {self.lease_id: outcome})[self.lease_id]

    def extend(self, visibility_timeout: timedelta | None = None) -> LeaseOutcome:
        """Let its lease end that long from now, the queue's own time when None; raises CallError."""
        return self._client.extend(self.queue, [self.lease_id], visibility_timeout)[self.lease_id]


class BlockingClient:
    """A broker, for a script. May be used from several threads, but not in a process that was forked off.

    Its methods raise Closed once it is closed.

    Args:
        target: a gRPC target, such as ``127.0.0.1:50052``.
        credentials: for TLS; None for none.
        metadata: sent with every call, such as an authorization.
        timeout: how long a call is tried while the broker is away.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
        timeout: timedelta = TIMEOUT,
    ) -> None:
        self._timeout = timeout
        self._connection = Connection(target, credentials=credentials, metadata=metadata)
        self._producers: dict[str, Producer] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="baton client", daemon=True)
        self._closing = threading.Lock()
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def send(self, queue: str, body: object) -> SendResult:
        """Send one message, a body or a `NewMessage`; raises as `Producer.send` does."""
        return self._wait(self._send(queue, body))

    def send_all(self, queue: str, bodies: Iterable[object]) -> list[SendResult]:
        """Send up to 1,000 messages, all or none; raises as `Producer.send_all` does."""
        return self._wait(self._send_all(queue, bodies))

    def pull(
        self,
        queue: str,
        *,
        max_messages: int = 10,
        wait: timedelta = timedelta(),
        visibility_timeout: timedelta | None = None,
        body: Any = object,
    ) -> list[BlockingMessage]:
        """Lease what is ready, waiting up to ``wait`` for it; empty when there is nothing.

        Args:
            queue: the queue's name.
            max_messages: messages at most, 1 to 1,000.
            wait: at most 60 s.
            visibility_timeout: how long the leases last; None: the queue's own.
            body: what bodies are decoded to (`baton_client.body`).

        Raises:
            CallError: the broker refused, or was away for too long.
            BodyError: no body can be such a thing.
        """
        decode = decoder(body)
        request = pb.PullMessagesRequest(
            queue=queue, max_messages=max_messages, max_wait=as_duration(wait), request_id=self._connection.new_id()
        )
        if visibility_timeout is not None:
            request.visibility_timeout.CopyFrom(as_duration(visibility_timeout))
        leased = self._wait(self._pull(request, wait))
        return [BlockingMessage(self, queue, each, decode) for each in leased]

    def settle(self, queue: str, outcomes: Mapping[str, Outcome]) -> dict[str, LeaseOutcome]:
        """Say what is to become of deliveries, by their lease ids; what the broker made of each. Raises CallError."""
        settlements = [outcome.settlement(lease_id) for lease_id, outcome in outcomes.items()]
        request = pb.SettleMessagesRequest(queue=queue, settlements=settlements)
        return self._wait(self._settle(request))

    def extend(
        self, queue: str, lease_ids: Iterable[str], visibility_timeout: timedelta | None = None
    ) -> dict[str, LeaseOutcome]:
        """Let leases end that long from now, the queue's own time when None; what became of each. Raises CallError."""
        request = pb.ExtendLeasesRequest(queue=queue, lease_ids=lease_ids)
        if visibility_timeout is not None:
            request.visibility_timeout.CopyFrom(as_duration(visibility_timeout))
        return self._wait(self._extend(request))

    def close(self) -> None:
        """Finish what is being sent, end the connection and the thread. Safe twice."""
        with self._closing:
            if self._thread.is_alive():
                self._wait(self._close())
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if not self._thread.is_alive():
            work.close()
            raise Closed("the client is closed, or was forked into a process without its thread")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C: what nobody waits for any more goes no further
            future.cancel()
            raise

    def _producer(self, queue: str) -> Producer:
        if queue not in self._producers:
            self._producers[queue] = Producer(self._connection, queue)
        return self._producers[queue]

    async def _send(self, queue: str, body: object) -> SendResult:
        return await self._producer(queue).send(body, timeout=self._timeout)

    async def _send_all(self, queue: str, bodies: Iterable[object]) -> list[SendResult]:
        return await self._producer(queue).send_all(bodies, timeout=self._timeout)

    async def _pull(self, request: pb.PullMessagesRequest, wait: timedelta) -> list[message_pb2.LeasedMessage]:
        method, timeout = self._connection.consumer.PullMessages, wait.total_seconds() + CALL_TIMEOUT
        pulling = self._connection.persist(method, request, timeout=timeout)
        return list((await self._within(pulling, self._timeout + wait)).messages)

    async def _settle(self, request: pb.SettleMessagesRequest) -> dict[str, LeaseOutcome]:
        settling = self._connection.persist(self._connection.consumer.SettleMessages, request)
        answer = await self._within(settling, self._timeout)
        return {result.lease_id: LeaseOutcome(result.outcome) for result in answer.results}

    async def _extend(self, request: pb.ExtendLeasesRequest) -> dict[str, LeaseOutcome]:
        extending = self._connection.persist(self._connection.consumer.ExtendLeases, request)
        answer = await self._within(extending, self._timeout)
        return {extension.lease_id: LeaseOutcome(extension.outcome) for extension in answer.extensions}

    async def _within(self, work: Awaitable[T], time: timedelta) -> T:
        try:
            async with asyncio.timeout(time.total_seconds()):
                return await work
        except TimeoutError as error:
            raise CallError("DEADLINE_EXCEEDED", f"no answer within {time}{self._connection.trouble}") from error

    async def _close(self) -> None:
        await asyncio.gather(*(producer.close() for producer in self._producers.values()))
        await self._connection.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:  # calls of other threads, which learn that the client is closed
            await asyncio.wait(others)
