"""Settlements on their way to the broker: those made while one call is under way share the next.

None is lost with a connection.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from baton.queue.v1 import message_pb2 as pb
from baton_client.errors import CallError, Closed
from baton_client.lease_outcome import LeaseOutcome

log = logging.getLogger(__name__)

#: Settlements of one call; the contract's limit.
MOST = 1000

Send = Callable[[Sequence[pb.Settlement]], Awaitable[Sequence[pb.SettlementResult]]]
Wait = Callable[[int, CallError], float]


class Settler:
    """Gathers settlements and sees them through.

    A repeat is harmless: the broker answers an ack that it has already with MESSAGE_GONE. So whatever is not answered,
    because the broker restarts or the connection breaks, is sent again.

    Args:
        send: one call; raises CallError.
        wait_after: seconds to wait after that many failures in a row.
    """

    def __init__(self, send: Send, wait_after: Wait) -> None:
        self._send, self._wait_after = send, wait_after
        self._waiting: dict[str, tuple[pb.Settlement, asyncio.Future[LeaseOutcome]]] = {}
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task = asyncio.create_task(self._run(), name="settlements")
        self._task.add_done_callback(self._given_up)

    def settle(self, settlement: pb.Settlement) -> "asyncio.Future[LeaseOutcome]":
        """Hand a settlement over now; the broker's answer, once it is there."""
        future: asyncio.Future[LeaseOutcome] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_look_at)  # nobody has to wait for it
        if self._task.done():
            future.set_exception(Closed("the consumer has ended"))
        else:
            self._waiting[settlement.lease_id] = settlement, future
            self._idle.clear()
            self._news.set()
        return future

    async def flush(self) -> None:
        """Wait until all is answered."""
        await self._idle.wait()

    async def close(self) -> None:
        """Give up what is not answered; its leases will run out. Safe twice."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _given_up(self, task: object) -> None:
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(Closed("the consumer ended before the broker answered"))
        self._waiting.clear()
        self._idle.set()

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._news.wait()
            some = [settlement for settlement, _ in self._waiting.values()][:MOST]
            try:
                results = await self._send(some)
            except Closed:
                return
            except CallError as error:
                failures += 1
                if error.passing:
                    log.info("settlements are sent again: %s", error)
                    await asyncio.sleep(self._wait_after(failures, error))
                else:
                    self._refused(some, error)
                continue
            failures = 0
            for settlement, result in zip(some, results, strict=True):
                self._answer(settlement.lease_id, LeaseOutcome(result.outcome))
            self._rest()

    def _answer(self, lease_id: str, outcome: LeaseOutcome) -> None:
        _, future = self._waiting.pop(lease_id)
        if outcome is LeaseOutcome.LEASE_LOST:
            log.warning("a lease was lost before its message was settled: the work may be done twice")
        if not future.done():
            future.set_result(outcome)

    def _refused(self, some: Sequence[pb.Settlement], error: CallError) -> None:
        """Refused for good: those at fault, where the broker names them; all where the queue is gone, say."""
        log.error("settlements were refused: %s", error)
        faults = error.faults("settlements")
        for settlement in [some[place] for place in faults if place < len(some)] or some:
            _, future = self._waiting.pop(settlement.lease_id)
            if not future.done():
                future.set_exception(error)
        self._rest()

    def _rest(self) -> None:
        if not self._waiting:
            self._news.clear()
            self._idle.set()


def _look_at(future: "asyncio.Future[LeaseOutcome]") -> None:
    """Keep asyncio from complaining of an error that nobody waited for; it has been logged."""
    if not future.cancelled():
        future.exception()
