"""The duties of a node: those that are its own by the database's word, and only as long as it is heard of there."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from mesh.clock import SECOND, steady
from mesh.task_set import TaskSet
from mesh.telemetry import get_logger
from queue_service.nodes.duties import Duties, End
from queue_service.nodes.fair_share import claims, too_many

log = get_logger(__name__)

#: How long after a heartbeat its node may go on with its duties: well below the time after which others take them.
CERTAIN = 5 * SECOND


@dataclass(frozen=True, slots=True)
class _Duty:
    begin: Callable[[], None]
    end: End


class SharedDuties(Duties):
    """Duties shared fairly among the nodes.

    Args:
        look: asks for a heartbeat soon.
        monotonic: microseconds of a steady clock.
    """

    def __init__(self, look: Callable[[], None], monotonic: Callable[[], int] = steady) -> None:
        self._look, self._steady = look, monotonic
        self._wanted: dict[str, _Duty] = {}
        self._held: set[str] = set()
        self._doing: set[str] = set()
        self._ending: set[str] = set()
        self._over: set[str] = set()
        self._tasks = TaskSet()
        self._stopped = False
        self._beaten_at = -CERTAIN

    def take_on(self, duty: str, begin: Callable[[], None], end: End) -> None:
        """Do a duty as soon as it is this node's."""
        self._wanted[duty] = _Duty(begin, end)
        self._begin(duty)
        self._look()

    def drop(self, duty: str) -> None:
        """The duty is no more."""
        self._wanted.pop(duty, None)
        self._doing.discard(duty)

    def elsewhere(self, duty: str) -> bool:
        """Whether this node does not do it."""
        return duty not in self._doing

    def certain(self) -> bool:
        """Whether no other node can have taken this one's duties."""
        return self._steady() - self._beaten_at < CERTAIN

    def wishes(
        self, owners: Mapping[str, int], nodes: Collection[int], me: int
    ) -> tuple[frozenset[str], frozenset[str]]:
        """What to claim and what to release with the next heartbeat, by the picture of the last one."""
        claimed = frozenset() if self._stopped else claims(self._wanted, owners, nodes, me)
        for duty in too_many(self._wanted, owners, nodes, me) - self._ending:
            self._end(duty)
        released = self._over | (self._held - self._doing - self._ending)
        return claimed - self._ending - released, frozenset(released)

    def beaten(self, at: int, owners: Mapping[str, int], me: int) -> None:
        """A heartbeat that began at that instant of the steady clock found these owners."""
        self._beaten_at = at
        self._held = {duty for duty, node in owners.items() if node == me}
        self._over &= self._held
        for duty in self._doing - self._held - self._ending:
            log.warning("a duty went to another node", action="duty_lost", duty=duty)
            self._end(duty)
        for duty in self._held - self._doing:
            self._begin(duty)

    def stop(self) -> None:
        """Begin nothing more; what is under way is ended by whoever it belongs to."""
        self._stopped = True

    def ended(self) -> None:
        """All of it has been ended."""
        self._doing.clear()

    async def end_all(self) -> None:
        """End everything at once: it is not this node's any more."""
        self._held.clear()
        doing, self._doing = self._doing, set()
        for duty in doing:
            if (wanted := self._wanted.get(duty)) is not None:
                await wanted.end(True)

    async def close(self) -> None:
        """Wait for nothing more."""
        await self._tasks.cancel()

    def _begin(self, duty: str) -> None:
        wanted = self._wanted.get(duty)
        if wanted is None or self._stopped or duty not in self._held - self._doing - self._ending - self._over:
            return
        self._doing.add(duty)
        wanted.begin()

    def _end(self, duty: str) -> None:
        if duty in self._doing:
            self._ending.add(duty)
            self._tasks.begin(self._ended(duty, self._wanted[duty].end(False)))

    async def _ended(self, duty: str, end: Awaitable[None]) -> None:
        try:
            await end
        except Exception as error:  # of whatever kind: a duty that is not released is done by nobody
            log.error("a duty did not end well", action="duty_not_ended", duty=duty, exc_info=error)
        finally:
            self._doing.discard(duty)
            self._ending.discard(duty)
            self._over.add(duty)
            self._look()
