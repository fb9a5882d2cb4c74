"""What the load asks of a client: send, receive, acknowledge; in batches, of which one is under way at a time."""

import abc
import asyncio
from collections.abc import Callable, Sequence
from typing import Any

Seen = Callable[[bytes], None]
"""Told each body at the moment at which the consumer has it in its hands."""

PATIENCE = 120.0
"""Seconds in which a phase has to end, whatever it is: a broker that lost something must not hang the benchmark."""


class BatchClient(abc.ABC):
    """One process's connection to a broker, and one queue there.

    Args:
        address: where the broker is, as its server's module says it.
    """

    #: Messages that a consumer asks for while latency is measured: it takes what is there.
    latency_batch = 100

    def __init__(self, address: str) -> None:
        self.address = address
        self.queue = ""

    @abc.abstractmethod
    async def connect(self) -> None:
        """Connect."""

    @abc.abstractmethod
    async def make(self, queue: str) -> None:
        """Make the queue, empty."""

    async def use(self, queue: str) -> None:
        """Be ready to send to the queue and to consume it; it is there."""
        self.queue = queue

    @abc.abstractmethod
    async def send(self, bodies: Sequence[bytes]) -> None:
        """Send a batch, and wait until the broker has confirmed every message of it."""

    async def send_one(self, body: bytes) -> None:
        """Send one message, and wait until the broker has confirmed it."""
        await self.send([body])

    async def send_all(self, bodies: Sequence[bytes], batch: int) -> None:
        """Send everything, one batch after the other."""
        for start in range(0, len(bodies), batch):
            await self.send(bodies[start : start + batch])

    @abc.abstractmethod
    async def receive(self, most: int) -> tuple[Sequence[bytes], Any]:
        """Wait for messages; the bodies of up to ``most``, and what `acknowledge` needs."""

    @abc.abstractmethod
    async def acknowledge(self, received: Any) -> None:
        """Acknowledge each of them, and wait for the confirmation where the broker gives one."""

    async def consume(self, count: int, batch: int, seen: Seen) -> None:
        """Receive and acknowledge ``count`` messages, one batch after the other."""
        left = count
        while left > 0:
            bodies, received = await self.receive(min(batch, left))
            for body in bodies:
                seen(body)
            if bodies:
                await self.acknowledge(received)
            left -= len(bodies)

    async def close(self) -> None:
        """Disconnect."""
        await asyncio.sleep(0)
