"""The store in SQL: one transaction for all verbs of an `apply`, committed before any of them is answered."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from mesh.database import Database, DatabaseError, translated
from mesh.errors import BatonError
from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveTask
from queue_service.storage import schema, verbs
from queue_service.storage.disk_room import DiskRoom
from queue_service.storage.known_counts import KnownCounts
from queue_service.storage.postgresql_sharing import CATALOG_LOCK, SharedPostgresql
from queue_service.storage.sharing import Begun, Sharing, Unshared
from queue_service.storage.sql_lease import lease
from queue_service.storage.sql_peek import newest_id, peek, purge
from queue_service.storage.sql_queues import delete_queue, read_queues, save_queues, stats
from queue_service.storage.sql_redrive import read_tasks, redrive
from queue_service.storage.sql_send import send
from queue_service.storage.sql_settle import expire, settle
from queue_service.storage.timing import at_time
from queue_service.storage.transaction import Transaction

_RUN: dict[type[verbs.Verb[Any]], Callable[[Transaction, Any], Any]] = {
    verbs.SaveQueues: save_queues,
    verbs.DeleteQueue: delete_queue,
    verbs.Send: send,
    verbs.Lease: lease,
    verbs.Settle: settle,
    verbs.Expire: expire,
    verbs.Stats: stats,
    verbs.Peek: peek,
    verbs.Purge: purge,
    verbs.Redrive: redrive,
}


class SqlStore:
    """A message store on SQLAlchemy Core; see `queue_service.storage.base`.

    Args:
        url: an SQLAlchemy URL.
        disk_reserve: bytes of an SQLite file's disk that sends leave free.
        keeps_time: whether PostgreSQL's clock replaces the instants of verbs, as it has to among nodes.

    Attributes:
        sharing: who else uses the database.

    Raises:
        DatabaseError: the database cannot be used.
    """

    def __init__(self, url: str, *, disk_reserve: int = 0, keeps_time: bool = False) -> None:
        self._database = Database(url, schema.SCHEMA, shared=True)
        self._room = DiskRoom(self._database.engine.url, disk_reserve)
        self._known = KnownCounts()
        self.sharing = _sharing(self._database.engine, keeps_time=keeps_time)
        try:
            with self._database.engine.begin() as connection:
                self.secret, self.version = _secret(connection)
                self.queues: Mapping[str, Queue] = read_queues(connection)
                self.newest_id = newest_id(connection, self.queues.values())
                self.redrive_tasks: Mapping[str, RedriveTask] = read_tasks(connection)
        except exc.SQLAlchemyError as error:
            self._database.close()
            raise DatabaseError("the database cannot be read") from error

    def apply(self, batch: Sequence[verbs.Verb[Any]]) -> list[Any]:
        """Do the verbs in one transaction; see `queue_service.storage.base`."""
        with translated():
            try:
                return self.sharing.repeated(lambda: self._apply(batch))
            except Exception as error:  # of whatever kind: it may be one verb's own, and is that one's alone then
                if len(batch) == 1 or self.sharing.ends_all(error):
                    raise
        return [result for verb in batch for result in self._alone(verb)]

    def close(self) -> None:
        """Close the database. Safe twice."""
        self.sharing.close()
        self._database.close()

    def _alone(self, verb: verbs.Verb[Any]) -> list[Any]:
        """A verb that the storage may have refused for its own sake must not take its neighbours with it."""
        try:
            return self.apply([verb])
        except Exception as error:  # likewise
            return [error]

    def _apply(self, batch: Sequence[verbs.Verb[Any]]) -> list[Any]:
        with self.sharing.begun(batch, self.queues.get) as begun:
            queues, tasks = self._as_of(begun)
            transaction = Transaction(begun, self.sharing, queues, tasks, self._known)
            refusal = self._refusal(begun, batch)
            results = [
                refusal if refusal and isinstance(verb, verbs.Send) else _run(transaction, at_time(verb, begun, queues))
                for verb in batch
            ]
            transaction.write_counts()
        self.queues, self.redrive_tasks, self.version = queues, tasks, transaction.version
        return results

    def _as_of(self, begun: Begun) -> tuple[dict[str, Queue], dict[str, RedriveTask]]:
        """Queues and redrive tasks as they are in a transaction."""
        if begun.version == self.version:
            return dict(self.queues), dict(self.redrive_tasks)
        return read_queues(begun.connection), read_tasks(begun.connection)

    def _refusal(self, begun: Begun, batch: Sequence[verbs.Verb[Any]]) -> BatonError | None:
        sends = any(isinstance(verb, verbs.Send) for verb in batch)
        return self._room.refusal(begun.connection) if sends else None


def _run(transaction: Transaction, verb: verbs.Verb[Any]) -> Any:
    try:
        return _RUN[type(verb)](transaction, verb)
    except BatonError as error:
        return error


def _sharing(engine: sa.Engine, *, keeps_time: bool) -> Sharing:
    if engine.dialect.name == "postgresql":
        return SharedPostgresql(engine, keeps_time=keeps_time)
    return Unshared(engine)


def _secret(connection: sa.Connection) -> tuple[bytes, int]:
    """The store's secret, made if there is none, and the version of its queues."""
    if connection.dialect.name == "postgresql":  # of several nodes on an empty database one makes it
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({CATALOG_LOCK}, 0)")
    found = connection.execute(sa.select(schema.STORE)).one_or_none()
    if found is not None:
        return found.secret, found.version if connection.dialect.name == "postgresql" else 0
    secret, version = secrets.token_bytes(16), 1
    connection.execute(sa.insert(schema.STORE).values(secret=secret, version=version))
    return secret, version if connection.dialect.name == "postgresql" else 0
