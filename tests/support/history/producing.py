"""A producer that writes down what it did: ``python -m tests.support.history.producing ADDRESS QUEUE FILE ...``.

Each message has a name of its own for deduplication, so a send whose end nobody knows is simply sent again.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from baton.queue.v1 import message_pb2, producer_service_pb2
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceStub
from mesh.channel import open_channel
from mesh.status import read_error
from mesh.wire_time import instant_to
from tests.support.history.event import Event, History, What

if TYPE_CHECKING:
    from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceAsyncStub

#: Tries at one batch, each with the deadline below; after that nobody knows.
TRIES = 60
TIMEOUT = 2.0
#: Seconds before the next one: a broker that refuses at once must not use them up.
PAUSE = 0.1
#: The attribute that carries a message's name to its consumer.
KEY = "key"
# One message in this many is for later, by up to so many microseconds.
_DELAYED, _LONGEST_DELAY = 10, 500_000


def now() -> int:
    """This instant, in microseconds."""
    return time.time_ns() // 1_000


class Producer:
    """Sends batches to one queue, one after the other."""

    def __init__(self, stub: "ProducerServiceAsyncStub", queue: str, history: History, chance: random.Random) -> None:
        self._stub, self._queue, self._history, self._chance = stub, queue, history, chance

    async def send(self, keys: Sequence[str]) -> None:
        """Send a batch until it is answered OK."""
        messages = [self._message(key) for key in keys]
        request = producer_service_pb2.SendMessagesRequest(queue=self._queue, messages=messages)
        for _ in range(TRIES):
            for message in messages:
                until = message.deliver_time.ToMicroseconds() if message.HasField("deliver_time") else 0
                self._note(What.INVOKED, message.attributes[KEY], until=until)
            what = await self._try(request)
            for key in keys:
                self._note(what, key)
            if what is What.OK:
                return
            await asyncio.sleep(PAUSE)

    async def _try(self, request: producer_service_pb2.SendMessagesRequest) -> What:
        try:
            await self._stub.SendMessages(request, timeout=TIMEOUT, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            # What the broker itself refused with a reason it did not store; anything else may have gone through.
            refused = read_error(error).reason in {"BACKLOG_FULL", "STORAGE_FULL", "RATE_LIMITED", "DRAINING"}
            return What.FAILED if refused else What.UNKNOWN
        return What.OK

    def _message(self, key: str) -> message_pb2.QueueMessage:
        message = message_pb2.QueueMessage(text="x" * 200, deduplication_id=key, attributes={KEY: key})
        if self._chance.randrange(_DELAYED) == 0:
            message.deliver_time.CopyFrom(instant_to(now() + self._chance.randrange(_LONGEST_DELAY)))
        return message

    def _note(self, what: What, key: str, *, until: int = 0) -> None:
        self._history.add(Event(what, now(), key, self._queue, until=until))


async def main(arguments: argparse.Namespace) -> None:
    """Send so many messages, however often the broker goes away meanwhile."""
    history = History(arguments.history)
    async with open_channel(arguments.address, packages=("queue",)) as channel:
        producer = Producer(ProducerServiceStub(channel), arguments.queue, history, random.Random(arguments.seed))
        for first in range(0, arguments.count, arguments.batch):
            last = min(first + arguments.batch, arguments.count)
            await producer.send([f"{arguments.name}-{number}" for number in range(first, last)])
    history.close()


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("queue")
    parser.add_argument("history", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parsed()))
    sys.exit(0)
