"""Who there is, as one process sees it at a heartbeat."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """Another node, or this one.

    Attributes:
        number: its number, which no other node ever had.
        seen_at: its last heartbeat, by the database's clock.
        version: the version of queues and redrive tasks that it goes by.
        leaving: whether it takes on no more duties.
        fresh: whether its last heartbeat is young enough for it to keep its duties.
    """

    number: int
    seen_at: int
    version: int
    leaving: bool
    fresh: bool


@dataclass(frozen=True, slots=True)
class Note:
    """What a node says of itself with a heartbeat, and asks.

    Attributes:
        version: see `Seen`.
        leaving: likewise.
        claims: duties that it wants.
        releases: duties that it does no longer.
        waited_for: numbers of queues that somebody waits for.
    """

    version: int = 0
    leaving: bool = False
    claims: frozenset[str] = frozenset()
    releases: frozenset[str] = frozenset()
    waited_for: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Picture:
    """The answer to a heartbeat.

    Attributes:
        nodes: all of them, this one too.
        owners: who does which duty.
        version: the newest version of queues and redrive tasks.
        ready: those of the queues asked for that have something to deliver.
        now: the database's time.
        asked, answered: when it was asked for and told, by this machine's steady clock.
    """

    nodes: tuple[Seen, ...]
    owners: Mapping[str, int]
    version: int
    ready: frozenset[int]
    now: int
    asked: int
    answered: int
