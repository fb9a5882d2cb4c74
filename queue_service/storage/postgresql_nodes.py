"""The table of nodes: a row and a lock for each, held by the connection on which its heart beats.

The lock is the server's word that the process, or what is left of it, still has its connection: as long as it is held,
nobody takes the node for dead, however long it is silent.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from mesh.clock import SECOND, steady
from mesh.database import translated
from mesh.telemetry import get_logger
from queue_service.delivery_state import Rank
from queue_service.nodes.picture import Note, Picture, Seen
from queue_service.storage.postgresql_sharing import CATALOG_LOCK, NODE_LOCK, NOW, NotANode
from queue_service.storage.schema import COUNTERS, DUTIES, LEVELS, NODES, STORE, TOTALS

log = get_logger(__name__)

#: Where nodes tell each other something.
CHANNEL = "baton_nodes"
#: A node that was not heard of for that long loses its duties.
FROZEN = 10 * SECOND

_SETTINGS = ("SET lock_timeout = '1s'", "SET statement_timeout = '3s'")
_NOW: sa.ColumnClause[int] = sa.literal_column(NOW)
_JOIN = (
    sa.insert(NODES)
    .values(place=sa.bindparam("at"), seen_at=_NOW, leaving=False, version=sa.select(STORE.c.version).scalar_subquery())
    .returning(NODES.c.number)
)
_BEAT = (
    sa.update(NODES)
    .where(NODES.c.number == sa.bindparam("of_node"))
    .values(seen_at=_NOW, version=sa.bindparam("at_version"), leaving=sa.bindparam("to_leaving"))
)
_CLAIM = sa.text(
    "INSERT INTO duties (duty, node) VALUES (:of_duty, :of_node) ON CONFLICT (duty) DO UPDATE SET node = :of_node "  # noqa: S608  # numbers of ours
    f"WHERE NOT EXISTS (SELECT FROM nodes WHERE number = duties.node AND seen_at > {NOW} - {FROZEN})"
)
_RELEASE = sa.delete(DUTIES).where(DUTIES.c.node == sa.bindparam("of_node"), DUTIES.c.duty == sa.bindparam("of_duty"))
_READY = sa.text(
    "SELECT number FROM unnest(CAST(:numbers AS bigint[])) AS number WHERE EXISTS (SELECT FROM deliveries "  # noqa: S608  # likewise
    f"WHERE queue_number = number AND rank = :line AND due_at <= {NOW})"
)
_TRY_LOCK = sa.select(sa.func.pg_try_advisory_lock(NODE_LOCK, sa.bindparam("of_node")))
_LOCK = sa.select(sa.func.pg_advisory_lock(NODE_LOCK, sa.bindparam("of_node")))
_UNLOCK = sa.select(sa.func.pg_advisory_unlock(NODE_LOCK, sa.bindparam("of_node")))
_FENCE = sa.select(sa.func.pg_advisory_xact_lock(CATALOG_LOCK, 0))
_STRIKE = sa.delete(NODES).where(NODES.c.number == sa.bindparam("of_node"), NODES.c.seen_at <= sa.bindparam("last"))
_COUNTS = ", ".join(LEVELS + TOTALS)
_FOLD = sa.text(
    f"INSERT INTO counters AS kept (queue_number, node, {_COUNTS}) "  # noqa: S608  # names of our own columns
    f"SELECT queue_number, 0, {_COUNTS} FROM counters WHERE node = :of_node ON CONFLICT (queue_number, node) "
    f"DO UPDATE SET {', '.join(f'{name} = kept.{name} + excluded.{name}' for name in LEVELS + TOTALS)}"
)
_FORGET_COUNTS = sa.delete(COUNTERS).where(COUNTERS.c.node == sa.bindparam("of_node"))
_FORGET_DUTIES = sa.delete(DUTIES).where(DUTIES.c.node == sa.bindparam("of_node"))
_TELL = sa.select(sa.func.pg_notify(CHANNEL, sa.bindparam("said")))
_ALWAYS = 1 << 62


class Membership:
    """This process among the nodes. Synchronous, and used by one thread at a time.

    Args:
        engine: of the database; one connection of it is kept.
        place: where the process is to be found; an earlier one of the same place, whose lock is free, is dead.

    Attributes:
        number: this node's, once it has joined.
    """

    def __init__(self, engine: sa.Engine, place: str) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._place = place
        self._connection: sa.Connection | None = None
        self.number = 0

    def join(self) -> int:
        """Become a node, a new one each time; its number. Raises Unavailable."""
        self._forget()
        self.number = 0
        with self._connected() as connection:
            number: int = connection.execute(_JOIN, {"at": self._place}).scalar_one()
            connection.execute(_LOCK, {"of_node": number})
            self.number = number
            same = sa.select(NODES.c.number).where(NODES.c.place == self._place, NODES.c.number != number)
            for earlier in connection.execute(same).scalars().all():
                self._bury(connection, earlier, _ALWAYS)
        return number

    def beat(self, note: Note) -> Picture:
        """Give a sign of life, and look at the others.

        Raises:
            NotANode, Unavailable
        """
        me = {"of_node": self.number}
        with self._connected() as connection:
            said = {**me, "at_version": note.version, "to_leaving": note.leaving}
            if not connection.execute(_BEAT, said).rowcount:
                raise NotANode
            for statement, duties in ((_RELEASE, note.releases), (_CLAIM, note.claims)):
                for duty in sorted(duties):
                    connection.execute(statement, {**me, "of_duty": duty})
            owners = {row.duty: row.node for row in connection.execute(sa.select(DUTIES))}
            rows = connection.execute(sa.select(NODES).order_by(NODES.c.number)).all()
            ready = _ready(connection, note.waited_for)
            asked = steady()
            version, now = connection.execute(sa.select(STORE.c.version, _NOW)).one()
            answered = steady()
        nodes = (_seen(row, now) for row in rows)
        return Picture(tuple(nodes), owners, version, ready, now, asked, answered)

    def bury(self, number: int, last_seen_at: int) -> bool:
        """Strike a node off, unless it lives: its transactions are refused from then on; raises Unavailable."""
        with self._connected() as connection:
            return self._bury(connection, number, last_seen_at)

    def tell(self, words: Sequence[str]) -> None:
        """Say something to all nodes that listen; raises Unavailable."""
        with self._connected() as connection:
            for said in words:
                connection.execute(_TELL, {"said": said})

    def leave(self) -> None:
        """Be a node no more; raises Unavailable. The others find out by themselves, where it fails."""
        if self.number:
            with self._connected() as connection:
                self._strike(connection, self.number, _ALWAYS)
        self.close()

    def close(self) -> None:
        """Give the connection back. Safe twice."""
        self._forget()

    def _bury(self, connection: sa.Connection, number: int, last_seen_at: int) -> bool:
        if not connection.execute(_TRY_LOCK, {"of_node": number}).scalar_one():
            return False
        try:
            return self._strike(connection, number, last_seen_at)
        finally:
            with suppress(Exception):  # a connection that is gone has given the lock up
                connection.execute(_UNLOCK, {"of_node": number})

    def _strike(self, connection: sa.Connection, number: int, last_seen_at: int) -> bool:
        """Once the fence is held, no transaction of the node is under way, and none begins after it."""
        connection.exec_driver_sql("BEGIN")
        try:
            connection.execute(_FENCE)
            struck = bool(connection.execute(_STRIKE, {"of_node": number, "last": last_seen_at}).rowcount)
            if struck:
                for statement in (_FOLD, _FORGET_COUNTS, _FORGET_DUTIES):
                    connection.execute(statement, {"of_node": number})
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            self._forget()
            raise
        return struck

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        with translated():
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                    for statement in _SETTINGS:
                        self._connection.exec_driver_sql(statement)
                    if self.number:
                        self._connection.execute(_LOCK, {"of_node": self.number})
                yield self._connection
            except NotANode:
                raise
            except BaseException:
                self._forget()
                raise

    def _forget(self) -> None:
        """Close the connection: no session that goes back to the pool may keep the node's lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.invalidate()
            with suppress(Exception):
                connection.close()


def _ready(connection: sa.Connection, numbers: frozenset[int]) -> frozenset[int]:
    if not numbers:
        return frozenset()
    found = connection.execute(_READY, {"numbers": sorted(numbers), "line": int(Rank.LINE)})
    return frozenset(found.scalars())


def _seen(row: Any, now: int) -> Seen:
    return Seen(row.number, row.seen_at, row.version, row.leaving, now - row.seen_at < FROZEN)
