"""The tables of the first release, whose databases are taken over as they are: what is there stays."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make what is not there."""
    _counters()
    _deliveries()
    _messages()
    _queues()
    _redrive_tasks()
    _repeats()
    _store()


def _counters() -> None:
    op.create_table(
        "counters",
        sa.Column("queue_number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("leased", sa.BigInteger, nullable=False),
        sa.Column("blocked", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sent", sa.BigInteger, nullable=False),
        sa.Column("deduplicated", sa.BigInteger, nullable=False),
        sa.Column("delivered", sa.BigInteger, nullable=False),
        sa.Column("acked", sa.BigInteger, nullable=False),
        sa.Column("retried", sa.BigInteger, nullable=False),
        sa.Column("released", sa.BigInteger, nullable=False),
        sa.Column("dead_lettered", sa.BigInteger, nullable=False),
        sa.Column("dropped", sa.BigInteger, nullable=False),
        sa.Column("expired", sa.BigInteger, nullable=False),
        sa.Column("purged", sa.BigInteger, nullable=False),
        sa.Column("cancelled", sa.BigInteger, nullable=False),
        sa.Column("redriven", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("queue_number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("message_id", sa.LargeBinary(16), primary_key=True),
        sa.Column("rank", sa.SmallInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("expire_time", sa.BigInteger, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("wire", sa.Integer, nullable=False),
        sa.Column("serial", sa.Integer, nullable=False),
        sa.Column("ordering_key", sa.Text),
        sa.Column("lapsed", sa.SmallInteger, nullable=False),
        sa.Column("attached", sa.SmallInteger, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("deliveries", sa.Integer, nullable=False),
        sa.Column("consumer_instance", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("failures", sa.Text),
        sa.Column("code", sa.Text, nullable=False),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    op.create_index(
        "deliveries_code",
        "deliveries",
        ["queue_number", "code", "rank", "due_at", "message_id"],
        sqlite_where=sa.text("code <> ''"),
        postgresql_where=sa.text("code <> ''"),
        if_not_exists=True,
    )
    op.create_index("deliveries_end", "deliveries", ["queue_number", "expire_time"], if_not_exists=True)
    op.create_index(
        "deliveries_key",
        "deliveries",
        ["queue_number", "ordering_key", "message_id"],
        sqlite_where=sa.text("ordering_key IS NOT NULL"),
        postgresql_where=sa.text("ordering_key IS NOT NULL"),
        if_not_exists=True,
    )
    op.create_index(
        "deliveries_line", "deliveries", ["queue_number", "rank", "due_at", "message_id"], if_not_exists=True
    )
    op.create_index(
        "deliveries_request",
        "deliveries",
        ["queue_number", "request_id"],
        sqlite_where=sa.text("request_id IS NOT NULL"),
        postgresql_where=sa.text("request_id IS NOT NULL"),
        if_not_exists=True,
    )


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("queue_number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("message_id", sa.LargeBinary(16), primary_key=True),
        sa.Column("body_kind", sa.SmallInteger, nullable=False),
        sa.Column("type_name", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("deduplication_id", sa.Text, nullable=False),
        sa.Column("ordering_key", sa.Text, nullable=False),
        sa.Column("send_time", sa.BigInteger, nullable=False),
        sa.Column("deliver_time", sa.BigInteger),
        sa.Column("expire_time", sa.BigInteger, nullable=False),
        sa.Column("producer", sa.Text, nullable=False),
        sa.Column("dead_letter", sa.Text),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )


def _queues() -> None:
    op.create_table(
        "queues",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(63), nullable=False, unique=True),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("pause", sa.Text),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
        if_not_exists=True,
    )


def _redrive_tasks() -> None:
    op.create_table(
        "redrive_tasks",
        sa.Column("redrive_task_id", sa.Text, primary_key=True),
        sa.Column("definition", sa.Text, nullable=False),
        if_not_exists=True,
    )


def _repeats() -> None:
    op.create_table(
        "repeats",
        sa.Column("queue_number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.SmallInteger, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("end_at", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary(16)),
        sa.Column("answer", sa.Text, nullable=False),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    op.create_index("repeats_end", "repeats", ["queue_number", "end_at"], if_not_exists=True)


def _store() -> None:
    op.create_table(
        "store",
        sa.Column("secret", sa.LargeBinary(16), nullable=False),
        if_not_exists=True,
    )
