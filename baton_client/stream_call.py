"""One StreamMessages call: requests out by their number, what the broker says in, and an end that fails what waits."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import timedelta

import grpc

from baton.queue.v1 import consumer_service_pb2 as pb
from baton.queue.v1 import message_pb2
from baton_client.connection import CALL_TIMEOUT, Connection
from baton_client.error_details import read_error, read_status
from baton_client.errors import CallError
from baton_client.outcome import as_duration

Request = pb.StreamMessagesRequest
Response = pb.StreamMessagesResponse
Notice = pb.StreamMessagesResponse.Notice

#: Heartbeats in a row that may fail to come before the stream counts as dead.
MISSED = 3
#: Seconds for the stream to open, and for its end once nothing is left to say.
OPEN_TIMEOUT = 10.0


class StreamCall:
    """A stream, from its opening to its end.

    Args:
        connection: the broker.
        opening: what the stream begins with.
    """

    def __init__(self, connection: Connection, opening: Request.Open) -> None:
        self._connection = connection
        self._requests: asyncio.Queue[Request | None] = asyncio.Queue()
        self._answers: dict[int, asyncio.Future[Response]] = {}
        self._sequence = 0
        self._silence = OPEN_TIMEOUT
        self._requests.put_nowait(Request(open=opening))
        self._call = connection.consumer.StreamMessages(self._outgoing(), metadata=connection.metadata)
        self.open = True
        """Whether requests can still be made."""

    async def incoming(self) -> AsyncGenerator[Response, None]:
        """What the broker says by itself: Opened first, then batches and notices, until the stream has ended.

        Raises:
            CallError: it broke, or was refused. UNAVAILABLE when the broker has fallen silent.
            Closed: the connection was closed meanwhile.
        """
        responses = self._call.__aiter__()
        try:
            while (response := await self._next(responses)) is not None:
                self._heard(response)
                if not response.sequence:
                    yield response
        except grpc.aio.AioRpcError as error:
            raise read_error(error) from error
        except asyncio.CancelledError:
            self._connection.notice_closed()
            raise
        finally:
            self._call.cancel()
            self._end()

    async def settle(self, settlements: Sequence[message_pb2.Settlement]) -> Sequence[message_pb2.SettlementResult]:
        """Settle; raises CallError, UNAVAILABLE when the stream ends first."""
        return (await self._ask(Request(settle=Request.Settle(settlements=settlements)))).settled.results

    async def extend(self, lease_ids: Sequence[str], timeout: timedelta | None) -> Sequence[pb.LeaseExtension]:
        """Let leases end later, the queue's own time from now when ``timeout`` is None; raises CallError likewise."""
        extend = Request.Extend(lease_ids=lease_ids)
        if timeout is not None:
            extend.visibility_timeout.CopyFrom(as_duration(timeout))
        return (await self._ask(Request(extend=extend))).extended.extensions

    async def drain(self) -> None:
        """Ask for no more messages; what was on its way still comes. Raises CallError likewise."""
        await self._ask(Request(drain=Request.Drain()))

    def finish(self) -> None:
        """Say that nothing more will be said: the broker ends the stream then. Safe twice."""
        self._requests.put_nowait(None)

    async def _outgoing(self) -> AsyncIterator[Request]:
        while (request := await self._requests.get()) is not None:
            yield request

    async def _next(self, responses: AsyncIterator[Response]) -> Response | None:
        try:
            async with asyncio.timeout(self._silence):
                return await anext(responses, None)
        except TimeoutError as error:
            raise CallError("UNAVAILABLE", f"the broker was silent for {self._silence:g} s") from error

    def _heard(self, response: Response) -> None:
        if response.HasField("opened"):
            self._silence = MISSED * response.opened.heartbeat_interval.ToTimedelta().total_seconds()
        waiting = self._answers.pop(response.sequence, None)
        if waiting is None or waiting.done():
            return
        if response.HasField("notice"):
            waiting.set_exception(read_status(response.notice.status))
        else:
            waiting.set_result(response)

    async def _ask(self, request: Request) -> Response:
        if not self.open:
            raise CallError("UNAVAILABLE", "the stream has ended")
        self._sequence += 1
        request.sequence = self._sequence
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._answers[self._sequence] = answer
        self._requests.put_nowait(request)
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                return await answer
        except TimeoutError as error:
            raise CallError("DEADLINE_EXCEEDED", f"no answer on the stream within {CALL_TIMEOUT:g} s") from error
        finally:
            self._answers.pop(request.sequence, None)

    def _end(self) -> None:
        self.open = False
        self.finish()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(CallError("UNAVAILABLE", "the stream ended before it answered"))
