"""A program's client: its connection, its producers, and the consumers it is decorated with."""

import asyncio
import logging
import os
import random
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import grpc

from baton_client.connection import Connection, Metadata
from baton_client.consumer import Consumer
from baton_client.handler import Function, Handler, handler_of
from baton_client.producer import IN_FLIGHT, Producer, SendResult
from baton_client.producer import TIMEOUT as SEND_TIMEOUT
from baton_client.subscription import BATCH_SIZE, CONCURRENCY, Subscription

if TYPE_CHECKING:
    from baton.queue.v1.queue_service_pb2_grpc import QueueServiceAsyncStub

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Function)

#: How long work that has been begun may go on after SIGTERM; what orchestrators give is often 30 s in all.
GRACE = timedelta(seconds=20)


class Client:
    """A broker, as one program sees it.

    Args:
        target: a gRPC target: ``127.0.0.1:50052``, ``unix:/run/baton/queue.sock``, ``dns:///queue:50052``.
        credentials: for TLS; None for none.
        metadata: sent with every call, such as an authorization.
        consumer_instance: this program's name in the record of a failure; None for host and process id.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
        consumer_instance: str | None = None,
    ) -> None:
        self.connection = Connection(target, credentials=credentials, metadata=metadata, draw=random.random)
        self.consumer_instance = consumer_instance or f"{socket.gethostname()[:100]}:{os.getpid()}"
        self._handlers: list[tuple[Subscription, Handler]] = []
        self._producers: dict[str, Producer] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    @property
    def queues(self) -> "QueueServiceAsyncStub":
        """Administration, by the contract's own messages; give every call a ``timeout``."""
        return self.connection.queues

    def producer(self, queue: str, *, in_flight: int = IN_FLIGHT) -> Producer:
        """The producer of a queue: one for the program, so that its sends gather. To be used on one event loop."""
        if queue not in self._producers:
            self._producers[queue] = Producer(self.connection, queue, in_flight=in_flight)
        return self._producers[queue]

    async def send(self, queue: str, body: object, *, timeout: timedelta = SEND_TIMEOUT) -> SendResult:
        """Send one message; see `Producer.send`."""
        return await self.producer(queue).send(body, timeout=timeout)

    def consumer(
        self,
        queue: str,
        *,
        concurrency: int | None = None,
        prefetch: int = 0,
        max_batch_size: int = BATCH_SIZE,
        max_batch_timeout: timedelta | None = None,
        visibility_timeout: timedelta | None = None,
        timeout: timedelta | None = None,
        mode: Literal["stream", "pull"] = "stream",
        decode: Callable[[bytes], Any] | None = None,
    ) -> Callable[[F], F]:
        """Let the decorated function consume a queue; it stays what it was, to be called by a test.

        It is an ``async def`` with one parameter, whose annotation says what it takes: ``Message[T]``, ``Batch[T]``, or
        ``T`` for the body alone (`baton_client.body`). When it returns, the message is acked. `Retry`, `Release` and
        `Reject`, raised, do what they say; any other exception is a retry under its own name. What it has settled
        itself stays as it is.

        Args:
            queue: the queue's name.
            concurrency: messages, or batches, worked on at once; 16 messages or 1 batch where it is None.
            prefetch: messages, or batches, that may wait here for their turn.
            max_batch_size: messages of a batch at most.
            max_batch_timeout: how long the first message of a batch waits for others; None: the queue's own.
            visibility_timeout: how long a lease lasts before it is renewed, or lost; None: the queue's own.
            timeout: how long the function may take; its leases are renewed meanwhile, however long it takes.
            mode: messages over one stream, or by one pull after the other.
            decode: from a body's bytes to the value, in place of what ``T`` would mean.

        Raises:
            TypeError, ValueError, BodyError: it is no such function, or a setting is out of bounds.
        """
        if not isinstance(queue, str):
            raise TypeError("consumer must be called with the name of a queue, before it decorates")

        def register(function: F) -> F:
            handler = handler_of(function, decode)
            subscription = Subscription(
                queue=queue,
                batched=handler.batched,
                concurrency=(1 if handler.batched else CONCURRENCY) if concurrency is None else concurrency,
                prefetch=prefetch,
                max_batch_size=max_batch_size,
                max_batch_timeout=max_batch_timeout,
                visibility_timeout=visibility_timeout,
                timeout=timeout,
                mode=mode,
                consumer_instance=self.consumer_instance,
            )
            self._handlers.append((subscription, handler))
            return function

        return register

    async def consume(self, stop: asyncio.Event, *, grace: timedelta = GRACE) -> None:
        """Consume with every decorated function until ``stop`` is set, then drain; the client stays open.

        Args:
            stop: when to stop.
            grace: how long work that has been begun gets to end; what does not is given back at no cost.

        Raises:
            CallError: a queue is not there, is pushed, or may not be consumed; the other consumers are drained first.
            Closed: the client was closed meanwhile.
            ValueError: nothing is decorated with `consumer`.
        """
        if not self._handlers:
            raise ValueError("there is nothing to consume: decorate a function with consumer")
        tasks = [
            asyncio.create_task(Consumer(self.connection, *each).run(stop, grace.total_seconds()))
            for each in self._handlers
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            if any(task.cancelled() or task.exception() for task in done):
                stop.set()
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def run(self, *, grace: timedelta = GRACE) -> None:
        """Consume until SIGTERM or SIGINT, drain, and close: the whole of a worker's main program.

        A second signal cuts the grace short.
        """
        asyncio.run(self._run(grace))

    async def _run(self, grace: timedelta) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        consuming = asyncio.current_task()

        def signalled() -> None:
            if stop.is_set() and consuming is not None:
                consuming.cancel()
            log.info("stopping")
            stop.set()

        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, signalled)
        async with self:
            with suppress(asyncio.CancelledError):
                await self.consume(stop, grace=grace)

    async def close(self) -> None:
        """Finish what is being sent, and end the connection. Safe twice."""
        await asyncio.gather(*(producer.close() for producer in self._producers.values()))
        await self.connection.close()
