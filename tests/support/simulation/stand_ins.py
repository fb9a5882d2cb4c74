"""What the broker is made of, but for what no seed could decide: the thread, the randomness, the network."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from mesh.clock import Clock
from mesh.field_rules import FieldRules
from mesh.identifier import Identifiers
from queue_service import app
from queue_service.app import QueueApplication
from queue_service.push import target
from queue_service.writer import Writer
from tests.support.simulation.store import SimulatedStore

RULES = FieldRules(QueueApplication.packages)


@contextmanager
def stand_ins(
    chance: Callable[[str], Random],
    make_writer: Callable[[SimulatedStore, Random], Writer],
    open_channel: Callable[[str], Any],
) -> Iterator[None]:
    """Let applications be made, and push, with what the seed decides."""
    made = iter(range(1 << 30))

    def writer(store: SimulatedStore) -> Writer:
        return make_writer(store, chance(f"writer {next(made)}"))

    def identifiers(clock: Clock, *, after: str) -> Identifiers:
        return Identifiers(clock, chance(f"identifiers {next(made)}"), after=after)

    def channel(address: str, **_: Any) -> Any:
        return open_channel(address)

    replaced: list[tuple[Any, str, Any]] = [
        (app, "Writer", writer),
        (app, "Identifiers", identifiers),
        (app, "FieldRules", lambda _: RULES),
        (target, "open_channel", channel),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in replaced]
    for module, name, stand_in in replaced:
        setattr(module, name, stand_in)
    try:
        yield
    finally:
        for module, name, real in before:
            setattr(module, name, real)
