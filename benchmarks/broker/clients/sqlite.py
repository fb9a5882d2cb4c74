"""No broker at all: what our broker tells SQLite for the same work, on its own tables, told by the client itself."""

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from benchmarks.broker.batch_client import BatchClient
from queue_service.storage.schema import COUNTERS, DELIVERIES, MESSAGES, METADATA

_LINE, _LEASED = 0, 2
_LEASE = 30_000_000
_RETENTION = 345_600_000_000
_PAUSE = 0.001


def _insert(table: sa.Table) -> str:
    columns = [column.name for column in table.columns]
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608  # of names


_SEND = (_insert(MESSAGES), _insert(DELIVERIES))
_COUNT = "UPDATE counters SET messages = messages + ?, leased = leased + ?, bytes = bytes + ? WHERE queue_number = 1"
_READY = (
    "SELECT * FROM deliveries WHERE queue_number = 1 AND rank = ? AND due_at <= ? ORDER BY due_at, message_id LIMIT ?"
)
_OF_THESE = "WHERE queue_number = 1 AND message_id IN ({})"
_CONTENTS, _STATES = "SELECT * FROM messages ", "SELECT * FROM deliveries "
_REMOVE = ("DELETE FROM deliveries ", "DELETE FROM messages ")
_TAKE = "UPDATE deliveries SET rank = ?, due_at = ?, deliveries = deliveries + 1, serial = serial + 1 "


class Sqlite(BatchClient):
    """A transaction for each call, flushed before it returns."""

    async def connect(self) -> None:
        """Open the file."""
        self._connection = sqlite3.connect(self.address, isolation_level=None, timeout=10)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._ids = (time.time_ns().to_bytes(8) + number.to_bytes(8) for number in itertools.count())

    async def make(self, queue: str) -> None:
        """The broker's tables, with one queue."""
        engine = sa.create_engine(f"sqlite:///{self.address}")
        METADATA.create_all(engine)
        engine.dispose()
        self._connection.execute("DELETE FROM counters")
        self._connection.execute(_insert(COUNTERS), [1] + [0] * (len(COUNTERS.columns) - 1))

    async def send(self, bodies: Sequence[bytes]) -> None:
        """Two inserts."""
        now = time.time_ns() // 1000
        rows = [(next(self._ids), body) for body in bodies]
        with self._transaction():
            self._connection.executemany(_SEND[0], [_message(key, body, now) for key, body in rows])
            self._connection.executemany(_SEND[1], [_delivery(key, body, now) for key, body in rows])
            self._connection.execute(_COUNT, (len(bodies), 0, sum(map(len, bodies))))

    async def receive(self, most: int) -> tuple[Sequence[bytes], Any]:
        """A look along the line, an update, and the contents."""
        now = time.time_ns() // 1000
        with self._transaction():
            rows = self._connection.execute(_READY, (_LINE, now, most)).fetchall()
            keys = [row[1] for row in rows]
            these = _OF_THESE.format(", ".join("?" * len(keys)))
            if keys:
                self._connection.execute(_TAKE + these, (_LEASED, now + _LEASE, *keys))
                self._connection.execute(_COUNT, (0, len(keys), 0))
            contents = self._connection.execute(_CONTENTS + these, keys).fetchall()
        if not keys:
            await asyncio.sleep(_PAUSE)
        return [row[2] for row in contents], keys

    async def acknowledge(self, received: Any) -> None:
        """A look at the states, and two deletions."""
        these = _OF_THESE.format(", ".join("?" * len(received)))
        with self._transaction():
            sizes = [row[5] for row in self._connection.execute(_STATES + these, received)]
            for remove in _REMOVE:
                self._connection.execute(remove + these, received)
            self._connection.execute(_COUNT, (-len(received), -len(received), -sum(sizes)))

    async def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        yield
        self._connection.execute("COMMIT")


def _message(key: bytes, body: bytes, now: int) -> tuple[Any, ...]:
    return (1, key, body, "", now, None, None)


def _delivery(key: bytes, body: bytes, now: int) -> tuple[Any, ...]:
    return (1, key, _LINE, now, now + _RETENTION, len(body), len(body) + 512, 0, None, 0, 0, 0, 0, "", None, None, "")
