"""Producers and consumers as processes, each with a history of its own, and the verdict on all of them."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from baton.queue.v1 import queue_pb2, queue_service_pb2
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from mesh.channel import open_channel
from tests.support.history.event import read
from tests.support.history.verdict import Verdict, judge
from tests.support.processes import MeshProcesses, Program, clean_up

QUEUE = "errands"
# Messages a send, in turn over the producers.
_BATCHES = (1, 50)


class Load:
    """Clients of one queue of a broker that may go away and come back.

    Args:
        mesh: with the broker; histories are kept in its folder.
        producers: how many, each sending ``messages`` and then ending.
        consumers: how many, until `finish`.
        messages: of one producer.
        address: where the clients call the broker; unset: where it listens.
    """

    def __init__(
        self, mesh: MeshProcesses, *, producers: int, consumers: int, messages: int, address: str = ""
    ) -> None:
        self._mesh, self._messages, self._address = mesh, messages, address or mesh.queue.address
        self.producers = [self._producer(number) for number in range(producers)]
        self.consumers = [self._client("consuming", number) for number in range(consumers)]
        self._drain = self._client("consuming", consumers, "--drain")

    @property
    def sends(self) -> int:
        """How many messages there are, all told."""
        return self._messages * len(self.producers)

    async def start(self) -> None:
        """Make the queue and start all clients."""
        await self.make_queue()
        for each in (*self.producers, *self.consumers):
            await each.start()

    async def finish(self, *, within: float = 600) -> Verdict:
        """Wait for the producers, end the consumers, drain the queue; the verdict."""
        await self.stop(within=within)
        await self.drain(within=within)
        return self.verdict()

    async def stop(self, *, within: float = 600) -> None:
        """Wait for the producers and end the consumers."""
        _ended_well(await asyncio.gather(*(each.ended(within=within) for each in self.producers)))
        for each in self.consumers:
            await each.stop()

    async def drain(self, *, within: float = 600) -> None:
        """Consume what is left."""
        await self._drain.start()
        _ended_well([await self._drain.ended(within=within)])

    def verdict(self) -> Verdict:
        """What all histories say."""
        return judge(read(self._mesh.folder.glob("*.jsonl")))

    async def clean_up(self) -> None:
        """Leave no client behind."""
        await clean_up([*self.producers, *self.consumers, self._drain])

    def _producer(self, number: int) -> Program:
        batch = _BATCHES[number % len(_BATCHES)]
        return self._client(
            "producing", number, "--name", f"p{number}", "--count", str(self._messages), "--batch", str(batch)
        )

    def _client(self, role: str, number: int, *more: str) -> Program:
        history: Path = self._mesh.folder / f"{role}-{number}.jsonl"
        arguments = (self._address, QUEUE, str(history), "--seed", str(number), *more)
        module = f"tests.support.history.{role}"
        return Program(sys.executable, "-m", module, *arguments, environment=self._mesh.environment)

    async def make_queue(self) -> None:
        """Make the queue: leases are short, and no message is given up."""
        queue = queue_pb2.Queue(name=QUEUE)
        queue.consumer.visibility_timeout.FromSeconds(2)
        queue.consumer.retry_policy.max_retries = 100
        queue.consumer.retry_policy.initial_delay.FromMilliseconds(50)
        async with open_channel(self._mesh.queue.address, packages=("queue",)) as channel:
            await QueueServiceStub(channel).CreateQueue(queue_service_pb2.CreateQueueRequest(queue=queue))


def _ended_well(ends: Sequence[int]) -> None:
    assert set(ends) == {0}, f"a client ended with one of {ends}"
