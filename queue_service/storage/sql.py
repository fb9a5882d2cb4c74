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
from queue_service.storage.sql_lease import lease
from queue_service.storage.sql_peek import newest_id, peek, purge
from queue_service.storage.sql_queues import delete_queue, read_queues, save_queues, stats
from queue_service.storage.sql_redrive import read_tasks, redrive
from queue_service.storage.sql_send import send
from queue_service.storage.sql_settle import expire, settle
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

    Raises:
        DatabaseError: the database cannot be used.
    """

    def __init__(self, url: str, *, disk_reserve: int = 0) -> None:
        self._database = Database(url, schema.SCHEMA)
        self._room = DiskRoom(self._database.engine.url, disk_reserve)
        self._known = KnownCounts()
        self._kept: sa.Connection | None = None
        try:
            with self._database.engine.begin() as connection:
                self.secret = _secret(connection)
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
                return self._apply(batch)
            except Exception:  # of whatever kind: it may be one verb's own, and is that one's alone then
                if len(batch) == 1:
                    raise
        return [result for verb in batch for result in self._alone(verb)]

    def close(self) -> None:
        """Close the database. Safe twice."""
        if self._kept is not None:
            self._kept.close()
        self._database.close()

    @property
    def _connection(self) -> sa.Connection:
        """One connection for all transactions, as long as it lives: to fetch it anew takes longer than a small one."""
        if self._kept is None or self._kept.closed or self._kept.invalidated:
            self._kept = self._database.engine.connect()
        return self._kept

    def _alone(self, verb: verbs.Verb[Any]) -> list[Any]:
        """A verb that the storage may have refused for its own sake must not take its neighbours with it."""
        try:
            return self.apply([verb])
        except Exception as error:  # likewise
            return [error]

    def _apply(self, batch: Sequence[verbs.Verb[Any]]) -> list[Any]:
        connection = self._connection
        with connection.begin():
            transaction = Transaction(connection, dict(self.queues), dict(self.redrive_tasks), self._known)
            full = self._room.refusal(connection) if any(isinstance(verb, verbs.Send) for verb in batch) else None
            results = [full if full and isinstance(verb, verbs.Send) else _run(transaction, verb) for verb in batch]
            transaction.write_counts()
        self.queues, self.redrive_tasks = transaction.queues, transaction.redrive_tasks
        return results


def _run(transaction: Transaction, verb: verbs.Verb[Any]) -> Any:
    try:
        return _RUN[type(verb)](transaction, verb)
    except BatonError as error:
        return error


def _secret(connection: sa.Connection) -> bytes:
    found: bytes | None = connection.execute(sa.select(schema.STORE.c.secret)).scalar()
    if found is None:
        found = secrets.token_bytes(16)
        connection.execute(sa.insert(schema.STORE).values(secret=found))
    return found
