"""Any number of brokers on one database: who they are, what each does for all, and counts of its own for each."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from mesh.table_rewrite import replace_table, rewrite

revision = "0003"
down_revision = "0002"

_COUNTS = (
    *("messages", "leased", "blocked", "bytes", "sent", "deduplicated", "delivered", "acked", "retried", "released"),
    *("dead_lettered", "dropped", "expired", "purged", "cancelled", "redriven"),
)
_OLD_COUNTERS = sa.Table(
    "counters",
    sa.MetaData(),
    sa.Column("queue_number", sa.BigInteger, primary_key=True),
    *(sa.Column(name, sa.BigInteger) for name in _COUNTS),
)
_OLD_STORE = sa.Table("store", sa.MetaData(), sa.Column("secret", sa.LargeBinary(16)))


def upgrade() -> None:
    """Every count so far becomes one of nobody's: number 0 is no node."""
    _counters()
    _store()
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("deliveries", "attached", type_=sa.Integer)
    op.create_table(
        "nodes",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("leaving", sa.Boolean, nullable=False),
    )
    op.create_table(
        "duties",
        sa.Column("duty", sa.Text, primary_key=True),
        sa.Column("node", sa.Integer, nullable=False),
    )


def _counters() -> None:
    new = op.create_table(
        "new_counters",
        sa.Column("queue_number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
        sqlite_with_rowid=False,
    )
    rewrite(op.get_bind(), _OLD_COUNTERS, new, _of_nobody)
    replace_table("counters", by="new_counters")


def _of_nobody(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**row, "node": 0}


def _store() -> None:
    new = op.create_table(
        "new_store",
        sa.Column("secret", sa.LargeBinary(16), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    for secret in op.get_bind().execute(sa.select(_OLD_STORE.c.secret)).scalars().all():
        op.get_bind().execute(sa.insert(new).values(secret=secret, version=1))
    op.drop_table("store")
    op.rename_table("new_store", "store")
