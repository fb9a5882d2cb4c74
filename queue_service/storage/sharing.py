"""Who else uses the database: nobody, for an SQLite file and its one process, or the nodes of one PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from queue_service.queue_definition import Queue
from queue_service.storage import verbs
from queue_service.storage.schema import COUNTERS, DELIVERIES, LEVELS, TOTALS
from queue_service.storage.statement import execute

T = TypeVar("T")

_RAISE_COUNTS = (
    sa.update(COUNTERS)
    .where(COUNTERS.c.queue_number == sa.bindparam("of_queue"), COUNTERS.c.node == 0)
    .values({name: COUNTERS.c[name] + sa.bindparam(f"by_{name}") for name in LEVELS + TOTALS})
)


@dataclass(frozen=True, slots=True)
class Begun:
    """A transaction that has begun.

    Attributes:
        connection: where its statements go.
        version: the version of queues and redrive tasks in it; 0 where nobody else changes them.
        now: the database's instant; None: each verb's own holds.
    """

    connection: sa.Connection
    version: int = 0
    now: int | None = None


class Sharing:
    """Nobody else: nothing has to be locked, and what is in memory is what is stored."""

    shared = False

    @property
    def holder(self) -> int:
        """The number that leases attached to this process bear."""
        return 1

    @contextmanager
    def begun(self, batch: Sequence[verbs.Verb[Any]], queues: Callable[[str], Queue | None]) -> Iterator[Begun]:
        """A transaction for ``batch``, committed at the end of the block."""
        raise NotImplementedError

    def repeated(self, attempt: Callable[[], T]) -> T:
        """What ``attempt``, a whole transaction, returns; tried again where others were in its way."""
        return attempt()

    def ends_all(self, error: Exception) -> bool:
        """Whether what failed a transaction of many verbs would fail each of them."""
        return False

    def hold_keys(self, begun: Begun, queue: Queue, keys: AbstractSet[str]) -> None:
        """Let nobody else change who is first of these ordering keys before the transaction ends."""

    def hold_all_keys(self, begun: Begun) -> None:
        """The same for every key there is."""

    def raise_counts(self, begun: Begun, rows: Sequence[dict[str, int]]) -> None:
        """Add to the counts of queues: ``of_queue``, and ``by_`` each of their names."""
        for row in rows:
            execute(begun.connection, _RAISE_COUNTS, row)

    def orphaned(self) -> "sa.ColumnElement[bool]":
        """Which deliveries are attached to a process that is no more, at the start of this one."""
        return DELIVERIES.c.attached != 0

    def changed(self, begun: Begun) -> int:
        """Queues or redrive tasks change with this transaction; their version after it."""
        return begun.version

    def close(self) -> None:
        """Release everything. Safe twice."""


class Unshared(Sharing):
    """An SQLite file: its lock keeps every other process off."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._kept: sa.Connection | None = None

    @contextmanager
    def begun(self, batch: Sequence[verbs.Verb[Any]], queues: Callable[[str], Queue | None]) -> Iterator[Begun]:
        """A transaction, and nothing else."""
        with self.connection.begin():
            yield Begun(self.connection)

    @property
    def connection(self) -> sa.Connection:
        """One connection for all transactions, as long as it lives: to fetch it anew takes longer than a small one."""
        if self._kept is None or self._kept.closed or self._kept.invalidated:
            self._kept = self._engine.connect()
        return self._kept

    def close(self) -> None:
        """Give the connection back."""
        if self._kept is not None:
            self._kept.close()
