"""The outbox as a table, for services that keep their state in SQL: the statements, to be run in their transactions."""

import json
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from mesh.nul_text import any_text
from mesh.outbox import OutboxEntry


class OutboxTable:
    """The table and its statements; rows of sent entries are kept out of the way of the search for pending ones."""

    def __init__(self, metadata: sa.MetaData) -> None:
        self.table = sa.Table(
            "outbox",
            metadata,
            sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
            sa.Column("entry_id", sa.String(128), nullable=False, unique=True),
            sa.Column("queue", sa.String(63), nullable=False),
            sa.Column("type_name", sa.String(512), nullable=False),
            sa.Column("value", sa.LargeBinary, nullable=False),
            sa.Column("attributes", sa.Text, nullable=False),
            sa.Column("due_at", sa.BigInteger, nullable=False),
            sa.Column("last_error", any_text(), nullable=False, default=""),
        )
        sa.Index("outbox_due", self.table.c.due_at, self.table.c.position)

    def add(self, connection: sa.Connection, entries: Sequence[OutboxEntry], now: int) -> None:
        """Store entries, to be sent in this order, in the caller's transaction."""
        rows = [
            {
                "entry_id": entry.entry_id,
                "queue": entry.queue,
                "type_name": entry.type_name,
                "value": entry.value,
                "attributes": json.dumps(dict(entry.attributes)),
                "due_at": now,
            }
            for entry in entries
        ]
        connection.execute(sa.insert(self.table), rows)

    def pending(self, connection: sa.Connection, now: int, limit: int) -> list[OutboxEntry]:
        """The oldest entries that may be sent by ``now``."""
        table = self.table
        query = sa.select(table).where(table.c.due_at <= now).order_by(table.c.position).limit(limit)
        return [
            OutboxEntry(row.entry_id, row.queue, row.type_name, row.value, json.loads(row.attributes))
            for row in connection.execute(query)
        ]

    def next_pending_at(self, connection: sa.Connection) -> int | None:
        """When the next entry may be sent; None when none is left."""
        found: int | None = connection.execute(sa.select(sa.func.min(self.table.c.due_at))).scalar_one()
        return found

    def remove_sent(self, connection: sa.Connection, message_ids: Mapping[str, str]) -> None:
        """Drop what the broker has; whoever needs the message ids stores them in the same transaction."""
        connection.execute(sa.delete(self.table).where(self.table.c.entry_id.in_(list(message_ids))))

    def postpone(self, connection: sa.Connection, entry_id: str, until: int, error: str) -> None:
        """Keep an entry back until an instant, with the reason."""
        table = self.table
        statement = sa.update(table).where(table.c.entry_id == entry_id).values(due_at=until, last_error=error)
        connection.execute(statement)
