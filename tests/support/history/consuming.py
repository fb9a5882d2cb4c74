"""A consumer that writes down what it saw: ``python -m tests.support.history.consuming ADDRESS QUEUE FILE ...``.

It acks most messages, and retries, releases or forgets some. It goes on until it is told to end, by SIGTERM; told to
drain it acks everything and ends when the queue has nothing left.
"""

import argparse
import asyncio
import random
import signal
import sys
import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from baton.queue.v1 import consumer_service_pb2, message_pb2, queue_service_pb2
from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceStub
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from mesh.channel import open_channel
from tests.support.history.event import Event, History, What
from tests.support.history.producing import KEY, now

if TYPE_CHECKING:
    from baton.queue.v1.consumer_service_pb2_grpc import ConsumerServiceAsyncStub

TIMEOUT = 5.0
WAIT = timedelta(seconds=1)
# Of a hundred messages, how many are not acked, by what is done with them; the last is nothing at all.
_OTHERWISE = {"retry": 8, "release": 4, "": 3}


class Consumer:
    """Pulls from one queue, one batch after the other."""

    def __init__(
        self,
        stub: "ConsumerServiceAsyncStub",
        queue: str,
        history: History,
        *,
        chance: random.Random | None,
        limit: int,
    ) -> None:
        self._stub, self._queue, self._history = stub, queue, history
        self._chance, self._limit = chance, limit

    async def turn(self) -> int:
        """Pull once and settle what came; how much that was."""
        leased = await self._pull()
        for each in leased:
            self._delivered(each)
        settlements = [settled for each in leased if (settled := self._settlement(each.lease_id)) is not None]
        if settlements:
            await self._settle(settlements)
        return len(leased)

    async def _pull(self) -> Sequence[message_pb2.LeasedMessage]:
        request = consumer_service_pb2.PullMessagesRequest(
            queue=self._queue, max_messages=self._limit, request_id=uuid.uuid4().hex
        )
        request.max_wait.FromTimedelta(WAIT)
        while True:  # the same call until it is answered: a lost answer strands nothing
            try:
                return (await self._stub.PullMessages(request, timeout=TIMEOUT, wait_for_ready=True)).messages
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise

    async def _settle(self, settlements: Sequence[message_pb2.Settlement]) -> None:
        request = consumer_service_pb2.SettleMessagesRequest(queue=self._queue, settlements=settlements)
        for each in settlements:
            self._note(What.SETTLING, each.lease_id, str(each.WhichOneof("action")))
        try:
            response = await self._stub.SettleMessages(request, timeout=TIMEOUT, wait_for_ready=True)
        except grpc.aio.AioRpcError:
            return  # nobody knows; what was not settled comes again
        for result in response.results:
            name = message_pb2.LeaseOutcome.Name(result.outcome).removeprefix("LEASE_OUTCOME_")
            self._note(What.SETTLED, result.lease_id, name)

    def _settlement(self, lease_id: str) -> message_pb2.Settlement | None:
        draw = 100 if self._chance is None else self._chance.randrange(100)
        for action, share in _OTHERWISE.items():
            if draw < share:
                return _settlement(lease_id, action)
            draw -= share
        return _settlement(lease_id, "ack")

    def _delivered(self, leased: message_pb2.LeasedMessage) -> None:
        message = leased.message
        until = leased.lease_expire_time.ToMicroseconds()
        key = message.attributes[KEY]
        self._history.add(
            Event(What.DELIVERED, now(), key, self._queue, message.message_id, leased.lease_id, until=until)
        )

    def _note(self, what: What, lease_id: str, how: str) -> None:
        self._history.add(Event(what, now(), queue=self._queue, lease_id=lease_id, how=how))


def _settlement(lease_id: str, action: str) -> message_pb2.Settlement | None:
    if not action:
        return None
    settlement = message_pb2.Settlement(lease_id=lease_id)
    getattr(settlement, action).SetInParent()
    return settlement


async def main(arguments: argparse.Namespace) -> None:
    """Consume until told to end, or until nothing is left."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    history = History(arguments.history)
    async with open_channel(arguments.address, packages=("queue",)) as channel:
        chance = None if arguments.drain else random.Random(arguments.seed)
        stub = ConsumerServiceStub(channel)
        consumer = Consumer(stub, arguments.queue, history, chance=chance, limit=arguments.batch)
        while not ended.is_set():
            if not await consumer.turn() and arguments.drain and await _is_empty(channel, arguments.queue):
                break
    history.close()


async def _is_empty(channel: grpc.aio.Channel, queue: str) -> bool:
    request = queue_service_pb2.GetQueueStatsRequest(name=queue)
    stats = (await QueueServiceStub(channel).GetQueueStats(request, wait_for_ready=True)).stats
    return stats.ready_count == stats.delayed_count == stats.leased_count == 0


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("queue")
    parser.add_argument("history", type=Path)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drain", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parsed()))
    sys.exit(0)
