"""A producer: single sends that are under way together share a call, several calls are in flight, a repeat is safe."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from baton.queue.v1 import message_pb2 as pb
from baton.queue.v1 import producer_service_pb2
from baton_client.connection import Connection
from baton_client.errors import CallError, Closed
from baton_client.gathering import MOST_MESSAGES, gathered
from baton_client.new_message import new_message

log = logging.getLogger(__name__)

#: Calls of one producer under way at once.
IN_FLIGHT = 4
#: How long a send is tried.
TIMEOUT = timedelta(seconds=30)
#: Bytes that may wait in one producer; who sends more waits until there is room.
MOST_WAITING_BYTES = 16 * 1024 * 1024

BACKLOG_FULL = "BACKLOG_FULL"
#: Refusals that meet the call, whatever messages it carries.
OF_THE_CALL = frozenset({"NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"})


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of a message: its id, and whether an earlier send had stored it already."""

    message_id: str
    deduplicated: bool


@dataclass(eq=False, slots=True)
class _Waiting:
    message: pb.QueueMessage
    size: int
    future: "asyncio.Future[SendResult]"

    @property
    def ordering_key(self) -> str:
        return self.message.ordering_key

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Producer:
    """Sends to one queue.

    Every call carries a request id, so that the broker recognises a repeat of one whose answer was lost. Messages of
    one ordering key never overtake each other. One bad message does not keep its neighbours from being sent.

    Args:
        connection: the broker.
        queue: the queue's name.
        in_flight: calls under way at once.
    """

    def __init__(self, connection: Connection, queue: str, *, in_flight: int = IN_FLIGHT) -> None:
        self._connection, self.queue = connection, queue
        self._slots, self._most = in_flight, MOST_MESSAGES
        self._waiting: deque[_Waiting] = deque()
        self.waiting_bytes = 0
        """Bytes of what is not answered yet."""
        self._room = asyncio.Event()
        self._turn = asyncio.Lock()  # who waits for room is not overtaken by who comes later
        self._busy: dict[str, int] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._whole: set[asyncio.Task[list[SendResult]]] = set()
        self._closed = False

    async def send(self, body: object, *, timeout: timedelta = TIMEOUT) -> SendResult:
        """Send one message; once this returns it is on the broker's disk.

        Args:
            body: a body, or a `NewMessage` with one.
            timeout: how long to try while the broker is away or its queue is full.

        Raises:
            BodyError, ValueError: it cannot be sent; nothing was.
            CallError: the broker refused it, or, with the code DEADLINE_EXCEEDED, the time was up: then it may be
                stored or not.
            Closed: the client is closing.
        """
        message = new_message(body).encoded()
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await self._enqueue(message)
        except TimeoutError as error:
            raise self._unconfirmed(timeout) from error

    async def send_all(self, bodies: Iterable[object], *, timeout: timedelta = TIMEOUT) -> list[SendResult]:
        """Send up to 1,000 messages, all or none, in one call of their own.

        Raises:
            BodyError, ValueError, CallError, Closed: as `send` does; nothing was sent, but for DEADLINE_EXCEEDED.
        """
        messages = [new_message(body).encoded() for body in bodies]
        self._be_open()
        call = asyncio.create_task(self._call(messages), name=f"send to {self.queue}")
        self._whole.add(call)
        call.add_done_callback(self._whole.discard)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await call
        except TimeoutError as error:
            raise self._unconfirmed(timeout) from error

    async def close(self) -> None:
        """Take nothing more in, and wait until what was taken in is answered, or has failed. Safe twice."""
        self._closed = True
        self._pump()
        while under_way := self._calls | self._whole:
            await asyncio.wait(under_way)

    async def _enqueue(self, message: pb.QueueMessage) -> SendResult:
        size = message.ByteSize()
        async with self._turn:
            while self.waiting_bytes >= MOST_WAITING_BYTES:
                self._room.clear()
                await self._room.wait()
            waiting = self._taken_in(message, size)
        return await waiting.future

    def _taken_in(self, message: pb.QueueMessage, size: int) -> _Waiting:
        self._be_open()
        loop = asyncio.get_running_loop()
        waiting = _Waiting(message, size, loop.create_future())
        waiting.future.add_done_callback(lambda _: self._let_go(size))
        self._waiting.append(waiting)
        self.waiting_bytes += size
        loop.call_soon(self._pump)  # so that what is sent in one go goes out in one go
        return waiting

    def _be_open(self) -> None:
        if self._closed:
            raise Closed(f"the producer of {self.queue} is closing, or closed")

    def _unconfirmed(self, timeout: timedelta) -> CallError:
        said = f"not confirmed within {timeout}: stored or not{self._connection.trouble}"
        return CallError("DEADLINE_EXCEEDED", said)

    def _let_go(self, size: int) -> None:
        self.waiting_bytes -= size
        self._room.set()

    def _pump(self) -> None:
        """Begin as many calls as there is room for; what waits meanwhile gathers for the next."""
        while self._waiting and len(self._calls) < self._slots:
            batch = gathered(self._waiting, self._busy, self._most)
            if not batch:
                return  # every message waits for its ordering key
            task = asyncio.create_task(self._send(batch), name=f"send to {self.queue}")
            self._calls.add(task)
            self._mark(batch, 1)
            task.add_done_callback(self._ended)

    def _mark(self, batch: Sequence[_Waiting], by: int) -> None:
        for key in {waiting.ordering_key for waiting in batch} - {""}:
            self._busy[key] = self._busy.get(key, 0) + by
            if not self._busy[key]:
                del self._busy[key]

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._calls.discard(task)
        if not task.cancelled():
            self._pump()
            return
        # The event loop is ending: no new task would live.
        _fail(self._waiting, Closed(f"the producer of {self.queue} was cut off"))
        self._waiting.clear()

    async def _send(self, batch: list[_Waiting]) -> None:
        try:
            wanted = [waiting for waiting in batch if not waiting.future.done()]
            if wanted:
                await self._send_wanted(wanted)
        except Exception as error:  # Closed, or something is broken: whatever it is, those who wait are told
            _fail(batch, error)
        except asyncio.CancelledError:
            _fail(batch, Closed(f"the producer of {self.queue} was cut off"))
            raise
        finally:
            self._mark(batch, -1)

    async def _send_wanted(self, batch: list[_Waiting]) -> None:
        def goes_on(error: CallError) -> bool:
            full = error.reason == BACKLOG_FULL and len(batch) > 1  # a smaller batch may find room
            return not full and any(not waiting.future.done() for waiting in batch)

        try:
            results = await self._call([waiting.message for waiting in batch], goes_on)
        except CallError as error:
            self._refused(batch, error)
            return
        self._most = min(MOST_MESSAGES, 2 * self._most)
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(result)

    def _refused(self, batch: list[_Waiting], error: CallError) -> None:
        """Fail the messages that are at fault; the others are sent again, as a send of their own."""
        faults = error.faults("messages")
        if faults and all(index < len(batch) for index in faults):
            for index, violations in faults.items():
                said = "; ".join(f"{each.field}: {each.description}" for each in violations)
                batch[index].fail(CallError(error.code, said, reason=error.reason, violations=violations))
            self._waiting.extendleft(batch[index] for index in reversed(range(len(batch))) if index not in faults)
        elif len(batch) > 1 and (error.reason == BACKLOG_FULL or _of_a_message(error)):
            self._most = len(batch) // 2
            self._waiting.extendleft(reversed(batch))
        else:
            _fail(batch, error)

    async def _call(
        self, messages: Sequence[pb.QueueMessage], goes_on: Callable[[CallError], bool] = lambda _: True
    ) -> list[SendResult]:
        request = producer_service_pb2.SendMessagesRequest(
            queue=self.queue, messages=messages, request_id=self._connection.new_id()
        )
        method = self._connection.producer.SendMessages
        response = await self._connection.persist(method, request, goes_on=goes_on)
        return [SendResult(result.message_id, result.deduplicated) for result in response.results]


def _fail(batch: Iterable[_Waiting], error: Exception) -> None:
    for waiting in batch:
        waiting.fail(error)


def _of_a_message(error: CallError) -> bool:
    """Whether one message may be all that stands in the way of the others."""
    return not error.passing and error.code not in OF_THE_CALL
