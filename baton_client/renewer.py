"""Looks after leases: while a message is being worked on, its lease is renewed long before it runs out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from baton.queue.v1 import consumer_service_pb2 as pb
from baton_client.errors import BatonClientError
from baton_client.lease_outcome import LeaseOutcome

log = logging.getLogger(__name__)

#: A lease is renewed when a third of it is over: two renewals may fail before it is lost.
PART = 3
#: Leases of one call; the contract's limit.
MOST = 1000
#: Seconds to wait after a renewal that failed, where a third of the lease is more.
AGAIN = 1.0

Extend = Callable[[Sequence[str]], Awaitable[Sequence[pb.LeaseExtension]]]


class Renewer:
    """Holds the leases that are still needed.

    Args:
        extend: one call; raises CallError.
        lease: seconds that a lease lasts, as known at the time.
    """

    def __init__(self, extend: Extend, lease: Callable[[], float]) -> None:
        self._extend, self._lease = extend, lease
        self._held: dict[str, None] = {}
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="lease renewal")

    @property
    def count(self) -> int:
        """How many leases are held."""
        return len(self._held)

    def hold(self, lease_ids: Sequence[str]) -> None:
        """Renew these from now on."""
        self._held.update(dict.fromkeys(lease_ids))
        self._changed.set()

    def holds(self, lease_id: str) -> bool:
        """Whether a lease is still this consumer's, as far as is known."""
        return lease_id in self._held

    def lost(self) -> None:
        """None of the leases so far is this consumer's any more."""
        self._held.clear()
        self._changed.set()

    def let_go(self, lease_id: str) -> None:
        """This one is needed no more. Safe twice."""
        self._held.pop(lease_id, None)
        self._changed.set()

    async def change(self) -> None:
        """Wait until a lease is held or let go."""
        self._changed.clear()
        await self._changed.wait()

    async def close(self) -> None:
        """Renew nothing any more. Safe twice."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        renewed = True
        while True:
            while not self._held:
                await self.change()
            part = self._lease() / PART
            await self._sleep(part if renewed else min(AGAIN, part), part)
            renewed = await self._renewed()

    async def _sleep(self, seconds: float, part: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        await asyncio.sleep(seconds)
        if (late := loop.time() - until) > part:
            log.warning("a handler blocked the event loop for %.1f s: leases could not be renewed meanwhile", late)

    async def _renewed(self) -> bool:
        held = list(self._held)
        try:
            for start in range(0, len(held), MOST):
                for extension in await self._extend(held[start : start + MOST]):
                    self._look_at(extension)
        except BatonClientError as error:
            log.info("leases are renewed again: %s", error)
            return False
        return True

    def _look_at(self, extension: pb.LeaseExtension) -> None:
        outcome = LeaseOutcome(extension.outcome)
        if outcome is LeaseOutcome.APPLIED or extension.lease_id not in self._held:
            return
        if outcome is LeaseOutcome.LEASE_LOST:
            log.warning("a lease was lost while its message was worked on: the work may be done twice")
        self.let_go(extension.lease_id)
