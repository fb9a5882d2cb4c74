"""One PostgreSQL, used by any number of nodes: what each transaction locks, reads and counts so that none errs.

A transaction begins with one round trip: it takes the fence of the catalog, shared, or whole where it changes queues,
and then reads the catalog's version, the time, and whether this node still counts as one. Everything that a decision
rests on is locked, so READ COMMITTED is enough. Whoever is in another's way for longer than `LOCK_WAIT` lets go of
everything and tries again: that ends deadlocks sooner than the server would.
"""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from random import SystemRandom
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects.postgresql import insert

from mesh.database import RETRY_DELAY
from mesh.errors import Unavailable
from mesh.telemetry import get_logger
from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveState
from queue_service.storage import verbs
from queue_service.storage.postgresql_errors import Trouble, trouble
from queue_service.storage.schema import COUNTERS, DELIVERIES, LEVELS, NODES, STORE, TOTALS
from queue_service.storage.sharing import Begun, Sharing
from queue_service.storage.statement import execute

log = get_logger(__name__)

T = TypeVar("T")

#: The first half of every advisory lock of the broker; the second is 0, a node's number, a bucket of keys, a digest.
CATALOG_LOCK, NODE_LOCK, KEY_LOCK, REQUEST_LOCK = range(728_431, 728_435)
#: Locks that ordering keys are spread over: so many that two keys seldom share one, so few that a transaction which
#: takes them all leaves room in the server's table of locks.
BUCKETS = 512
#: How long a statement waits for a lock.
LOCK_WAIT = "200ms"
#: After that long without a statement the server ends a transaction, and with it the locks of a node that is frozen.
IDLE = "5s"
#: Tries at a transaction, and the longest wait between two of them, in seconds.
TRIES, LONGEST_PAUSE = 8, 0.1

SETTINGS = (
    "SET default_transaction_isolation = 'read committed'",
    f"SET lock_timeout = '{LOCK_WAIT}'",
    f"SET idle_in_transaction_session_timeout = '{IDLE}'",
    # A machine that has gone dark must not keep its locks for the hours that TCP allows.
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 2",
    "SET tcp_keepalives_count = 3",
)
_LOCK_ALL_KEYS = sa.text(
    f"SELECT count(pg_advisory_xact_lock({KEY_LOCK}, n)) FROM generate_series(0, {BUCKETS - 1}) AS n"  # noqa: S608
)
NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

_COLUMNS = LEVELS + TOTALS
_ADDED = insert(COUNTERS)
_RAISE_COUNTS = _ADDED.on_conflict_do_update(
    index_elements=[COUNTERS.c.queue_number, COUNTERS.c.node],
    set_={name: COUNTERS.c[name] + _ADDED.excluded[name] for name in _COLUMNS},
)
_BUMP = sa.update(STORE).values(version=STORE.c.version + 1).returning(STORE.c.version)


class NotANode(Unavailable):
    """The others have taken this process for dead: nothing of what it holds in memory counts any more."""

    def __init__(self) -> None:
        super().__init__("STORAGE_UNAVAILABLE", "this node was taken for dead and begins anew", retry_delay=RETRY_DELAY)


class OutcomeUnknown(Unavailable):
    """The connection broke in the commit: what was asked for may or may not be stored."""

    def __init__(self) -> None:
        super().__init__(
            "STORAGE_UNAVAILABLE", "the storage broke off: what was asked for may be stored", retry_delay=RETRY_DELAY
        )


class SharedPostgresql(Sharing):
    """The broker's side of a database that it shares.

    Args:
        engine: of the database; one connection of it is kept.
        keeps_time: whether the database's clock replaces the instants of verbs.

    Attributes:
        node: this node's number; 0 as long as it has none, and then the fence does not ask for it.
    """

    shared = True

    def __init__(self, engine: sa.Engine, *, keeps_time: bool = False) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._keeps_time = keeps_time
        self._connection: sa.Connection | None = None
        self._held: set[int] = set()
        self._chance = SystemRandom()
        self.node = 0

    @property
    def engine(self) -> sa.Engine:
        """That of the database."""
        return self._engine

    @property
    def holder(self) -> int:
        """The number that leases attached to this process bear."""
        return self.node or 1

    @contextmanager
    def begun(self, batch: Sequence[verbs.Verb[Any]], queues: Callable[[str], Queue | None]) -> Iterator[Begun]:
        """A transaction that nobody's change of a queue comes in between.

        Raises:
            NotANode, OutcomeUnknown
        """
        connection = self._connected()
        try:
            yield self._begin(connection, batch, queues)
        except BaseException:
            self._roll_back(connection)
            raise
        try:
            connection.exec_driver_sql("COMMIT")
        except Exception as error:
            self._forget()
            if trouble(error) is Trouble.LOST:
                raise OutcomeUnknown from error
            raise

    def repeated(self, attempt: Callable[[], T]) -> T:
        """Try again, after a pause of random length, where others were in the way or the connection had gone before."""
        for number in range(1, TRIES + 1):
            try:
                return attempt()
            except (NotANode, OutcomeUnknown):
                raise
            except Exception as error:
                met = trouble(error)
                if met is Trouble.OTHER or number == TRIES or (met is Trouble.LOST and number > 1):
                    raise
                log.debug("a transaction is tried again", action="transaction_repeated", trouble=met.name)
            time.sleep(self._chance.uniform(0, min(LONGEST_PAUSE, 0.002 * 2**number)))
        raise AssertionError("unreachable")

    def ends_all(self, error: Exception) -> bool:
        """Whether the database is away: to try each verb by itself would be in vain, and take long."""
        return isinstance(error, NotANode | OutcomeUnknown) or trouble(error) is Trouble.LOST

    def hold_keys(self, begun: Begun, queue: Queue, keys: AbstractSet[str]) -> None:
        """Take the locks of ordering keys that this transaction has not taken yet."""
        if wanted := {bucket(queue.number, key) for key in keys} - self._held:
            _last_row(begun.connection, _locking(KEY_LOCK, wanted))
            self._held |= wanted

    def hold_all_keys(self, begun: Begun) -> None:
        """Take the lock of every ordering key."""
        begun.connection.execute(_LOCK_ALL_KEYS)

    def raise_counts(self, begun: Begun, rows: Sequence[dict[str, int]]) -> None:
        """Add to this node's own counts: nodes that wrote the same row would wait for each other."""
        for row in sorted(rows, key=lambda row: row["of_queue"]):
            values = {name: row[f"by_{name}"] for name in _COLUMNS}
            execute(begun.connection, _RAISE_COUNTS, {"queue_number": row["of_queue"], "node": self.node, **values})

    def orphaned(self) -> "sa.ColumnElement[bool]":
        """Attached to what is no node any more; to a lone process, whatever an earlier one held."""
        attached = DELIVERIES.c.attached
        return sa.and_(attached != 0, attached.not_in(sa.select(NODES.c.number))) if self.node else attached != 0

    def changed(self, begun: Begun) -> int:
        """Count the version up; where another change came in between, ours is to be read anew with the next look."""
        version: int = begun.connection.execute(_BUMP).scalar_one()
        return version if version == begun.version + 1 else begun.version

    def close(self) -> None:
        """Give the connection back."""
        self._forget()

    def _connected(self) -> sa.Connection:
        if self._connection is None:
            connection = self._engine.connect()
            try:
                for statement in SETTINGS:
                    connection.exec_driver_sql(statement)
            except BaseException:
                connection.invalidate()
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _begin(
        self, connection: sa.Connection, batch: Sequence[verbs.Verb[Any]], queues: Callable[[str], Queue | None]
    ) -> Begun:
        self._held = set(_keys_sent(batch, queues))
        locks = [f"SELECT pg_advisory_xact_lock{'' if any(map(_whole, batch)) else '_shared'}({CATALOG_LOCK}, 0)"]
        if self._held:
            locks.append(_locking(KEY_LOCK, self._held))
        if requests := {_digest(verb) for verb in batch if isinstance(verb, verbs.Lease) and verb.request_id}:
            locks.append(_locking(REQUEST_LOCK, requests))
        alive = f"EXISTS (SELECT FROM nodes WHERE number = {self.node})" if self.node else "true"
        look = f"SELECT version, {NOW}, {alive} FROM store"  # noqa: S608  # numbers of ours, and no text of a caller's
        version, now, counts = _last_row(connection, "; ".join(("BEGIN", *locks, look)))
        if not counts:
            raise NotANode
        return Begun(connection, version, now if self._keeps_time else None)

    def _roll_back(self, connection: sa.Connection) -> None:
        try:
            connection.exec_driver_sql("ROLLBACK")
        except Exception:  # of whatever kind: a connection that cannot even do that is of no use
            self._forget()

    def _forget(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.invalidate()
            with suppress(Exception):
                self._connection.close()
            self._connection = None
            self._engine.dispose()  # whatever ended this one has ended those that wait in the pool


def bucket(queue_number: int, key: str) -> int:
    """Which of the locks an ordering key falls to."""
    return zlib.crc32(f"{queue_number}:{key}".encode()) % BUCKETS


def _whole(verb: verbs.Verb[Any]) -> bool:
    """Whether a verb needs the fence for itself alone."""
    if isinstance(verb, verbs.Redrive):
        return not verb.limit and verb.task.state is RedriveState.RUNNING
    return isinstance(verb, verbs.SaveQueues | verbs.DeleteQueue)


def _keys_sent(batch: Sequence[verbs.Verb[Any]], queues: Callable[[str], Queue | None]) -> Iterator[int]:
    for verb in batch:
        if isinstance(verb, verbs.Send) and (queue := queues(verb.queue)) is not None:
            yield from (bucket(queue.number, message.ordering_key) for message in verb.messages if message.ordering_key)


def _digest(verb: verbs.Lease) -> int:
    return zlib.crc32(f"{verb.queue}:{verb.request_id}".encode()) & 0x7FFF_FFFF


def _locking(kind: int, numbers: Iterable[int]) -> str:
    """Always in the same order, so that two who want the same locks do not wait for each other."""
    return "; ".join(f"SELECT pg_advisory_xact_lock({kind}, {number})" for number in sorted(numbers))


def _last_row(connection: sa.Connection, statements: str) -> Any:
    """Several statements in one round trip; the only row of the last of them.

    Each sees what was committed before it began, so the last one sees all that the locks before it waited for.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statements)
        while cursor.nextset():
            pass
        found = cursor.fetchone()
    except connection.dialect.loaded_dbapi.Error as error:
        raise exc.DBAPIError(None, None, error, hide_parameters=True) from error
    finally:
        cursor.close()
    return found
