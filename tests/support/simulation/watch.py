"""Looks into the broker from outside of time: a message that waits though somebody waits for it, memory that stays."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mesh.clock import SECOND
from queue_service.storage.verbs import Peek, Stats
from queue_service.storage.views import Filter, Place, QueueStats
from tests.support.simulation.plan import DEAD, LOOSE, PUSHED, WORK

if TYPE_CHECKING:
    from queue_service.ready_signal import Waiter
    from tests.support.simulation.server import Life
    from tests.support.simulation.world import World

QUEUES = (WORK, LOOSE, PUSHED, DEAD)
#: Seconds between two looks, the second of which must not see the same message and the same idle waiter again, and
#: seconds after a fault of the storage within which what it did has to be found.
BETWEEN, IN_DOUBT = 0.5, 4
#: Totals by which messages leave the queues for good.
_EXITS = ("acked", "dropped", "purged", "cancelled")


class Watch:
    """Sees a wake-up that was lost: the storage is well, a message is ready, and who waits for it is not told."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._seen: dict[str, tuple[str, Waiter]] = {}
        self._storage: object = None
        self._well_since = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(BETWEEN)
            life = self._world.server.life
            storage = None if life is None else (life.since, life.store.faults)
            if storage != self._storage:
                self._storage, self._well_since = storage, self._world.loop.elapsed
            if life is not None and self._world.loop.elapsed > self._well_since + IN_DOUBT * SECOND:
                for queue in QUEUES:
                    self._look(life, queue)

    def _look(self, life: "Life", queue: str) -> None:
        before, idle = self._seen.pop(queue, None), self._idle(life, queue)
        if idle is not None:
            self._seen[queue] = idle
            if idle == before:
                self._world.record.accuse(f"{queue}: {idle[0]} is ready and nobody tells the one who waits")

    def _idle(self, life: "Life", queue: str) -> "tuple[str, Waiter] | None":
        """A ready message, and who waits for one and has not been told; None if all is well."""
        if not life.writer.idle:
            return None
        now, core = self._world.clock.now(), life.application.broker
        settings = core.catalog.get(queue)
        if settings.paused(now) or settings.consumer.max_messages_per_second or self._world.plan.steps:
            return None
        waiter = next((each for each in _waiters(life, queue) if not each.woken), None)
        ready = self._ready(life, queue, now)
        return None if waiter is None or ready is None else (ready, waiter)

    def _ready(self, life: "Life", queue: str, now: int) -> str | None:
        verb = Peek(queue, now, 5, 1 << 20, Filter(places=frozenset({Place.READY})))
        found = life.store.look(verb)
        return next((each.message.message_id for each in found if each.state.expire_time > now), None)


def remains(life: "Life") -> list[str]:
    """What a broker with empty queues keeps in memory that it should have let go."""
    core, redriver = life.application.broker, life.application._redriver
    reaper, leasing = core._reaper, core.leasing
    pushed = {name for name in leasing._signals if core.catalog.get(name).consumer.push is not None}
    kept: dict[str, Any] = {
        "waiters": [name for name, each in leasing._signals.items() if each._waiters and name not in pushed],
        "timers of waiters": [name for name, each in leasing._signals.items() if each._timer is not None],
        "timers of the reaper": list(reaper._timers),
        "sweeps": list(reaper._sweeping),
        "leases being given back": list(leasing._giving_back._tasks),
        "redrives": [*redriver._loops, *redriver._steps, *redriver._outliving._tasks],
        "changes of queues": list(core.catalog._changes._tasks),
        "calls": list(life.calls),
    }
    return [f"{what} left: {found}" for what, found in kept.items() if found]


def counted(stats: dict[str, QueueStats]) -> list[str]:
    """What does not add up, all queues taken together, once they are empty."""
    totals = {name: sum(asdict(each.totals)[name] for each in stats.values()) for name in asdict(stats[WORK].totals)}
    wrong = [f"{name} is not empty: {each}" for name, each in stats.items() if _held(each)]
    if totals["sent"] != sum(totals[name] for name in _EXITS):
        wrong.append(f"what was sent is not what went: {totals}")
    return wrong


def stats_of(life: "Life", now: int) -> dict[str, QueueStats]:
    """How every queue stands."""
    return {queue: life.store.look(Stats(queue, now)) for queue in QUEUES}


def _waiters(life: "Life", queue: str) -> list["Waiter"]:
    signal = life.application.broker.leasing._signals.get(queue)
    return [] if signal is None else list(signal._waiters)


def _held(stats: QueueStats) -> int:
    return stats.ready_count + stats.delayed_count + stats.leased_count + stats.backlog_bytes
