"""A queue in PostgreSQL by psycopg and no library: arrays in, FOR UPDATE SKIP LOCKED out, arrays of ids deleted.

What a team writes that wants no broker: leases, but no retries, no dead letters, no delays, no deduplication. While a
table is empty its consumer is woken by NOTIFY.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg

from benchmarks.broker.batch_client import BatchClient

_LEASE = "30 seconds"
_WAIT = 1.0

_MAKE = """
    CREATE TABLE "{0}" (
        id bigserial PRIMARY KEY, body bytea NOT NULL, ready_at timestamptz NOT NULL DEFAULT now(),
        attempts int NOT NULL DEFAULT 0);
    CREATE INDEX ON "{0}" (ready_at, id)"""
_SEND = """
    WITH sent AS (INSERT INTO "{0}" (body) SELECT unnest(%b::bytea[]) RETURNING id)
    SELECT pg_notify('{0}', ''), count(*) FROM sent"""
_RECEIVE = """
    UPDATE "{0}" SET ready_at = now() + interval '{1}', attempts = attempts + 1 WHERE id IN (
        SELECT id FROM "{0}" WHERE ready_at <= now() ORDER BY ready_at, id LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING id, body"""
_ACKNOWLEDGE = 'DELETE FROM "{0}" WHERE id = ANY(%s)'


class PostgreSql(BatchClient):
    """A transaction for each call; single sends share a connection, as a program with a small pool would."""

    async def connect(self) -> None:
        """Connect twice: what waits for a notification must not keep a send from its connection."""
        connect = psycopg.AsyncConnection.connect
        self._connection = await connect(self.address, autocommit=True)
        self._ears = await connect(self.address, autocommit=True)

    async def make(self, queue: str) -> None:
        """A table."""
        await self._connection.execute(_MAKE.format(queue))

    async def use(self, queue: str) -> None:
        """Fill in the table's name."""
        await super().use(queue)
        self._send, self._receive = _SEND.format(queue), _RECEIVE.format(queue, _LEASE)
        self._acknowledge = _ACKNOWLEDGE.format(queue)
        await self._ears.execute(f'UNLISTEN *; LISTEN "{queue}"')

    async def send(self, bodies: Sequence[bytes]) -> None:
        """One statement; the notification rides on its transaction."""
        await self._connection.execute(self._send, (list(bodies),))

    async def receive(self, most: int) -> tuple[Sequence[bytes], Any]:
        """One statement; where it finds nothing, a notification is waited for."""
        while not (rows := await self._rows(most)):
            await asyncio.wait_for(self._heard(), _WAIT + 1)
        return [body for _, body in rows], [number for number, _ in rows]

    async def acknowledge(self, received: Any) -> None:
        """One statement."""
        await self._connection.execute(self._acknowledge, (received,))

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()
        await self._ears.close()

    async def _rows(self, most: int) -> list[tuple[int, bytes]]:
        cursor = await self._connection.execute(self._receive, (most,))
        return [(number, bytes(body)) for number, body in await cursor.fetchall()]

    async def _heard(self) -> None:
        async for _ in self._ears.notifies(timeout=_WAIT, stop_after=1):
            return
