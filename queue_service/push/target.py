"""A push target: its channel, and what the calls so far say about whether anybody is there."""

import asyncio
import contextlib

import grpc

from mesh.channel import open_channel
from mesh.clock import Clock
from mesh.task_set import begin_loop
from mesh.telemetry import get_logger
from queue_service.push.breaker import Breaker
from queue_service.push.call_end import CallEnd
from queue_service.queue_encoding import PushHealth

log = get_logger(__name__)

#: Seconds to wait for a connection before a target counts as unreachable.
CONNECT_TIMEOUT = 5.0
#: What is kept of a reason: it comes from the other side.
MAX_REASON = 512


class Target:
    """One address, connected to before anything is sent there.

    The breaker heals by an answer to a probe, or, where the connection itself had been lost, by its return: a handler
    that a message kills comes back as often as it is restarted, and its calls must then count again.
    """

    def __init__(self, queue_name: str, address: str, clock: Clock) -> None:
        self._queue_name, self._address, self._clock = queue_name, address, clock
        self.channel = open_channel(address, foreign=True)
        self._breaker = Breaker(change_time=clock.now())
        self._connections = self._connections_at_failure = 0
        # A channel to what is no target fails from the beginning, and whoever waits for it to change waits for ever,
        # beyond the end of the event loop even; any other one is idle first.
        self._sound = self.channel.get_state() is grpc.ChannelConnectivity.IDLE
        self._watch = begin_loop(self._count_connections(), f"watch of {address}")

    @property
    def health(self) -> PushHealth:
        """Whether the target answers."""
        return PushHealth(not self._breaker.open, self._breaker.reason, self._breaker.change_time)

    @property
    def probing(self) -> bool:
        """Whether only one message, the next, is to be sent."""
        return self._breaker.open

    @property
    def costs(self) -> bool:
        """Whether a call that begins now spends an attempt if it reaches nobody."""
        return not self._breaker.open and self.channel.get_state() is grpc.ChannelConnectivity.READY

    @property
    def probe_in(self) -> int:
        """How long nothing is to be sent yet: the wait of the breaker at most, wherever the clock was set since."""
        return max(0, min(self._breaker.probe_at - self._clock.now(), self._breaker.wait))

    async def connect(self) -> bool:
        """Whether there is a connection, made now if need be."""
        if not self._sound:
            self._unreached(f"{self._address} is no gRPC target")
            return False
        try:
            await asyncio.wait_for(self.channel.channel_ready(), CONNECT_TIMEOUT)
        except TimeoutError:
            self._unreached(f"no connection to {self._address} within {CONNECT_TIMEOUT:g} s")
            return False
        if self._breaker.open and self._connections > self._connections_at_failure:
            self._reached()
        return True

    def heard(self, end: CallEnd) -> None:
        """A call ended."""
        if end.unreached:
            self._unreached(str(end.error))
        else:
            self._reached()

    async def close(self) -> None:
        """Give up the connection. Safe twice."""
        self._watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watch
        await self.channel.close()

    def _reached(self) -> None:
        if self._breaker.open:
            log.info("push target answers again", action="push_healthy", queue=self._queue_name)
        self._breaker = self._breaker.succeeded(self._clock.now())

    def _unreached(self, reason: str) -> None:
        reason = reason[:MAX_REASON]
        if not self._breaker.open:
            log.warning("push target unreachable", action="push_unreachable", queue=self._queue_name, reason=reason)
        self._connections_at_failure = self._connections
        self._breaker = self._breaker.failed(reason, self._clock.now())

    async def _count_connections(self) -> None:
        state = self.channel.get_state() if self._sound else grpc.ChannelConnectivity.SHUTDOWN
        while state is not grpc.ChannelConnectivity.SHUTDOWN:
            await self.channel.wait_for_state_change(state)
            state = self.channel.get_state()
            self._connections += state is grpc.ChannelConnectivity.READY
