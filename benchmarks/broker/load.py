"""The phases of a measurement, on any client: each says when it began and ended, by the machine's monotonic clock."""

import asyncio
import time
from dataclasses import dataclass, field

from benchmarks.broker.batch_client import PATIENCE, BatchClient

_NUMBER, _STAMP = 12, 20


@dataclass
class Phase:
    """What one process saw of a phase.

    Attributes:
        begun: when its first call was made.
        ended: when its last one was answered.
        distinct: different messages that were seen.
        waited: seconds from the call of each send to its message in the consumer's hands.
    """

    begun: float
    ended: float
    distinct: int = 0
    waited: list[float] = field(default_factory=list)


def body(number: int, size: int, stamp: float = 0.0) -> bytes:
    """A body that says which message it is and when it was sent."""
    return f"{number:0{_NUMBER}d}{stamp:0{_STAMP}.9f}".ljust(size, "x").encode()


def number_in(body: bytes) -> int:
    """Which message it is."""
    return int(body[:_NUMBER])


def stamp_in(body: bytes) -> float:
    """When it was sent."""
    return float(body[_NUMBER : _NUMBER + _STAMP])


async def send(client: BatchClient, count: int, batch: int, size: int) -> Phase:
    """Send messages in batches."""
    bodies = [body(number, size) for number in range(count)]
    begun = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        await client.send_all(bodies, batch)
    return Phase(begun, time.monotonic())


async def send_singly(client: BatchClient, count: int, waiting: int, size: int) -> Phase:
    """Send messages one by one, ``waiting`` of them at a time."""
    bodies = iter([body(number, size) for number in range(count)])

    async def sender() -> None:
        for each in bodies:
            await client.send_one(each)

    begun = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(sender() for _ in range(waiting)))
    return Phase(begun, time.monotonic())


async def send_steadily(client: BatchClient, count: int, rate: int, size: int) -> Phase:
    """Send messages one by one at a rate, whether or not those before were answered."""

    async def send_stamped(number: int) -> None:
        await client.send_one(body(number, size, time.monotonic()))

    begun = time.monotonic()
    async with asyncio.timeout(PATIENCE + count / rate), asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(begun + number / rate - time.monotonic())
            group.create_task(send_stamped(number))
    return Phase(begun, time.monotonic())


async def consume(client: BatchClient, count: int, batch: int) -> Phase:
    """Receive and acknowledge messages in batches; 0 measures latency, in the batches that suit the client."""
    waited: list[float] = []
    numbers: set[int] = set()

    def seen(body: bytes) -> None:
        numbers.add(number_in(body))

    def seen_stamped(body: bytes) -> None:
        waited.append(time.monotonic() - stamp_in(body))
        numbers.add(number_in(body))

    begun = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        await client.consume(count, batch or client.latency_batch, seen if batch else seen_stamped)
    return Phase(begun, time.monotonic(), len(numbers), waited)
