"""The consumer that is pushed to: a channel to it as `grpc.aio` has one, and the calls of BatchHandlerService there."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc

from baton.queue.v1 import batch_handler_service_pb2 as pb
from baton.queue.v1 import message_pb2
from tests.support.history.event import What
from tests.support.simulation.messages import key_on_the_wire

if TYPE_CHECKING:
    from tests.support.simulation.world import World

State = grpc.ChannelConnectivity

#: Of a hundred messages, how many are not acked, by what is done with them.
_OTHERWISE = {"retry": 10, "release": 6, "reject": 4}


class HandlerChannel:
    """A connection to the handler, lost when that goes away."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._state = State.IDLE
        self._changed = asyncio.Event()
        world.handlers.append(self)

    def get_state(self) -> State:
        return self._state

    async def wait_for_state_change(self, state: State) -> None:
        while self._state is state:
            await self._changed.wait()

    async def channel_ready(self) -> None:
        while self._state is not State.READY:
            if self._world.handler_up:
                self._become(State.READY)
            else:
                await self._world.handler_back.wait()

    async def close(self) -> None:
        self._become(State.SHUTDOWN)
        self._world.handlers.remove(self)

    def lose(self) -> None:
        """The handler went away."""
        if self._state is State.READY:
            self._become(State.IDLE)

    def unary_stream(self, _: str, **__: Any) -> Callable[[pb.DeliverBatchRequest], "HandlerCall"]:
        return lambda request: HandlerCall(self._world, request)

    def _become(self, state: State) -> None:
        self._state = state
        self._changed.set()
        self._changed = asyncio.Event()


class HandlerCall:
    """One batch in the handler's hands."""

    def __init__(self, world: "World", request: pb.DeliverBatchRequest) -> None:
        self._world, self._request, self._chance = world, request, world.handler_chance
        self._held = [leased.lease_id for leased in request.messages]
        self._said: deque[object] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._work = world.loop.begin(self._handle())

    async def read(self) -> object:
        while not self._said:
            self._waiting = self._world.loop.create_future()
            await self._waiting
        said = self._said.popleft()
        if isinstance(said, Exception):
            raise said
        return said

    def cancel(self) -> None:
        """The broker wants no more of it: what is not settled is somebody else's from now on."""
        self._work.cancel()
        self._let_go()
        if self._waiting is not None:
            self._waiting.cancel()

    async def _handle(self) -> None:
        chance = self._chance
        await self._delay()
        if not self._world.handler_up:
            self._held.clear()
            self._say(_error(grpc.StatusCode.UNAVAILABLE))
            return
        for leased in self._request.messages:
            self._delivered(leased)
        if chance.random() < 0.05:
            return  # and not a word more
        while self._held and chance.random() < 0.5:
            await self._delay()
            self._say(self._settle())
        await self._delay()
        if chance.random() < 0.2:
            self._let_go()
            self._say(_error(chance.choice([grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE])))
        else:
            self._note_all("ack")
            self._say(grpc.aio.EOF)

    def _settle(self) -> pb.DeliverBatchResponse:
        lease_id = self._held.pop(0)
        draw, how = self._chance.randrange(100), "ack"
        for action, share in _OTHERWISE.items():
            if 0 <= draw < share:
                how = action
            draw -= share
        settlement = message_pb2.Settlement(lease_id=lease_id)
        getattr(settlement, how).SetInParent()
        self._world.record.note(What.SETTLING, queue=self._request.queue, lease_id=lease_id, how=how)
        return pb.DeliverBatchResponse(settlements=[settlement])

    def _delivered(self, leased: message_pb2.LeasedMessage) -> None:
        self._world.record.note(
            What.DELIVERED,
            key_on_the_wire(leased),
            queue=self._request.queue,
            message_id=leased.message.message_id,
            lease_id=leased.lease_id,
            until=leased.lease_expire_time.ToMicroseconds(),
        )

    def _let_go(self) -> None:
        self._note_all("")

    def _note_all(self, how: str) -> None:
        for lease_id in self._held:
            self._world.record.note(What.SETTLING, queue=self._request.queue, lease_id=lease_id, how=how)
        self._held.clear()

    def _say(self, what: object) -> None:
        self._said.append(what)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _delay(self) -> None:
        if self._chance.random() < 0.7:
            await asyncio.sleep(self._chance.choice([0.001, 0.05, 1.0]) * self._chance.random())


def _error(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="so it goes")
