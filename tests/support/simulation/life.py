"""One life from its seed to its verdict, with what is real but for what is planted."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from queue_service.storage.base import MessageStore
from queue_service.storage.memory import MemoryStore
from tests.support.history.event import Event
from tests.support.history.verdict import Verdict, judge
from tests.support.simulation.handler import HandlerChannel
from tests.support.simulation.loop import SimulatedLoop, SimulationStuckError
from tests.support.simulation.plan import Plan, draw
from tests.support.simulation.stand_ins import stand_ins
from tests.support.simulation.store import SimulatedStore
from tests.support.simulation.world import World
from tests.support.simulation.writer import SimulatedWriter

MakeWriter = Callable[[SimulatedStore, Random], SimulatedWriter]


def in_memory() -> Callable[[], MessageStore]:
    """A store that every run of the broker finds as the last one left it."""
    store = MemoryStore()
    return lambda: store


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a life ended."""

    plan: Plan
    verdict: Verdict
    wrong: list[str]
    events: list[Event]
    lines: list[str]

    @property
    def broken(self) -> list[str]:
        """What was promised and not kept, in words."""
        return [*(f"{name}: {list(found)}" for name, found in self.verdict.broken.items()), *self.wrong]


def live(
    seed: int,
    open_store: Callable[[], MessageStore] | None = None,
    *,
    make_writer: MakeWriter = SimulatedWriter,
    commits: bool = False,
) -> Outcome:
    """Live the life of a seed; with ``commits`` its lines say what the store did, too."""
    plan, loop = draw(seed), SimulatedLoop()
    try:
        with stand_ins(plan.chance, make_writer, lambda _: HandlerChannel(world)):
            world = World(plan, loop, open_store or in_memory(), commits=commits)
            try:
                loop.run_until_complete(loop.begin(world.live()))
            except SimulationStuckError as stuck:
                world.record.accuse(str(stuck))
    finally:
        loop.end()
    record = world.record
    return Outcome(plan, judge(record.events), record.wrong, record.events, record.lines)
