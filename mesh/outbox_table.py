"""The outbox as a table, for services that keep their state in SQL: the statements, to be run in their transactions.

Along an order key, as its entries were added, due_at never falls: sorted by it, what is due is in every key's order.
A change of the table needs a revision in each service that has it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from mesh.nul_text import any_text
from mesh.outbox_entry import HandedOver, HandOver, OutboxDepth, OutboxEntry

_FAILED = sa.text("last_error <> ''")


class OutboxTable:
    """The table and its statements."""

    def __init__(self, metadata: sa.MetaData) -> None:
        self.table = sa.Table(
            "outbox",
            metadata,
            sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
            sa.Column("entry_id", sa.String(128), nullable=False, unique=True),
            sa.Column("queue", sa.String(63), nullable=False),
            sa.Column("order_key", any_text(), nullable=False),
            sa.Column("withdraw", sa.Boolean, nullable=False),
            sa.Column("message_id", any_text(), nullable=False),
            sa.Column("added_at", sa.BigInteger, nullable=False),
            sa.Column("due_at", sa.BigInteger, nullable=False),
            sa.Column("last_error", any_text(), nullable=False, default=""),
            sa.Column("attributes", sa.Text, nullable=False),
            sa.Column("type_name", sa.String(512), nullable=False),
            sa.Column("value", sa.LargeBinary, nullable=False),
        )
        columns = self.table.c
        sa.Index("outbox_due", columns.due_at, columns.position)
        sa.Index("outbox_order", columns.order_key, columns.position)
        sa.Index("outbox_failed", columns.position, sqlite_where=_FAILED, postgresql_where=_FAILED)

    def add(
        self, connection: sa.Connection, entries: Sequence[OutboxEntry], now: int, *, not_before: int | None = None
    ) -> None:
        """Store entries, to be handed over in this order, in the caller's transaction.

        Args:
            connection: the caller's.
            entries: what is added.
            now: this instant.
            not_before: when they may be handed over at the earliest; unset: now.
        """
        due_at = max(now, not_before or now)
        keys = {entry.order_key for entry in entries if entry.order_key}
        latest = {key: max(due_at, self._latest(connection, key) or due_at) for key in keys}
        rows = [_row(entry, now, latest.get(entry.order_key, due_at)) for entry in entries]
        if rows:
            connection.execute(sa.insert(self.table), rows)

    def withdraw(self, connection: sa.Connection, entry_id: str, now: int) -> bool:
        """Make an entry that still waits to be sent a withdrawal, in its place; whether there was one.

        It may be due sooner for that, but not before those ahead of it.
        """
        table = self.table
        waiting = sa.and_(table.c.entry_id == entry_id, table.c.withdraw.is_(sa.false()))
        query = sa.select(table.c.position, table.c.order_key, table.c.due_at).where(waiting)
        found = connection.execute(query.with_for_update()).one_or_none()
        if found is None:
            return False
        ahead = self._latest(connection, found.order_key, found.position) if found.order_key else None
        due_at = min(found.due_at, max(now, ahead or now))
        changed = sa.update(table).where(table.c.position == found.position)
        connection.execute(changed.values(withdraw=True, due_at=due_at, last_error=""))
        return True

    def release(self, connection: sa.Connection, order_key: str, now: int) -> None:
        """Let everything of a key be due now."""
        table = self.table
        later = sa.and_(table.c.order_key == order_key, table.c.due_at > now)
        connection.execute(sa.update(table).where(later).values(due_at=now))

    def pending(self, connection: sa.Connection, now: int, limit: int) -> list[OutboxEntry]:
        """The oldest entries that may be handed over by ``now``."""
        table = self.table
        query = sa.select(table).where(table.c.due_at <= now).order_by(table.c.due_at, table.c.position).limit(limit)
        return [_entry(row) for row in connection.execute(query)]

    def next_pending_at(self, connection: sa.Connection) -> int | None:
        """When the next entry may be handed over; None when none is left."""
        found: int | None = connection.execute(sa.select(sa.func.min(self.table.c.due_at))).scalar_one()
        return found

    def remove(self, connection: sa.Connection, results: Mapping[str, HandedOver]) -> None:
        """Drop what is done; whoever needs the message ids stores them in the same transaction.

        An entry that was sent may have become a withdrawal meanwhile: it stays, with the id of what it takes back.
        """
        table = self.table
        sent = {entry_id: result for entry_id, result in results.items() if result.what is HandOver.SENT}
        back = [entry_id for entry_id in results if entry_id not in sent]
        withdrawal = table.c.withdraw.is_(sa.true())
        connection.execute(sa.delete(table).where(table.c.entry_id.in_(back), withdrawal))
        connection.execute(sa.delete(table).where(table.c.entry_id.in_(list(sent)), sa.not_(withdrawal)))
        left = connection.execute(sa.select(table.c.entry_id).where(table.c.entry_id.in_(list(sent)))).scalars().all()
        for entry_id in left:
            known = sa.update(table).where(table.c.entry_id == entry_id)
            connection.execute(known.values(message_id=sent[entry_id].message_id))

    def postpone(self, connection: sa.Connection, entry_id: str, until: int, error: str) -> None:
        """Keep an entry back until an instant, with the reason, and those behind it of its key no less."""
        table = self.table
        query = sa.select(table.c.position, table.c.order_key).where(table.c.entry_id == entry_id)
        found = connection.execute(query).one_or_none()
        if found is None:
            return
        place = table.c.position == found.position
        if found.order_key:
            until = max(until, self._latest(connection, found.order_key, found.position) or until)
            behind = sa.and_(table.c.order_key == found.order_key, table.c.position > found.position)
            connection.execute(sa.update(table).where(behind, table.c.due_at < until).values(due_at=until))
        connection.execute(sa.update(table).where(place).values(due_at=until, last_error=error))

    def depth(self, connection: sa.Connection) -> OutboxDepth:
        """How much waits."""
        table = self.table
        count: int = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        first = sa.select(table.c.added_at).order_by(table.c.position).limit(1)
        failed = sa.select(table.c.last_error).where(_FAILED).order_by(table.c.position).limit(1)
        error: str | None = connection.execute(failed).scalar_one_or_none()
        return OutboxDepth(count, connection.execute(first).scalar_one_or_none(), error or "")

    def _latest(self, connection: sa.Connection, order_key: str, before: int | None = None) -> int | None:
        """When the last entry of a key, or the last one ahead of a position, is due."""
        table = self.table
        query = sa.select(table.c.due_at).where(table.c.order_key == order_key)
        if before is not None:
            query = query.where(table.c.position < before)
        found: int | None = connection.execute(query.order_by(table.c.position.desc()).limit(1)).scalar_one_or_none()
        return found


def _row(entry: OutboxEntry, now: int, due_at: int) -> dict[str, Any]:
    return {
        "entry_id": entry.entry_id,
        "queue": entry.queue,
        "order_key": entry.order_key,
        "withdraw": entry.withdraw,
        "message_id": entry.message_id,
        "added_at": now,
        "due_at": due_at,
        "attributes": json.dumps(dict(entry.attributes)),
        "type_name": entry.type_name,
        "value": entry.value,
    }


def _entry(row: "sa.Row[Any]") -> OutboxEntry:
    return OutboxEntry(
        entry_id=row.entry_id,
        queue=row.queue,
        type_name=row.type_name,
        value=row.value,
        attributes=json.loads(row.attributes),
        order_key=row.order_key,
        withdraw=row.withdraw,
        message_id=row.message_id,
    )
