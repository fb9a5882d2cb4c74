"""The tables of the first release, whose databases are taken over as they are: what is there stays."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make what is not there."""
    _emails()
    _outbox()


def _emails() -> None:
    op.create_table(
        "emails",
        sa.Column("email_id", sa.Text, primary_key=True),
        sa.Column("idempotency_key", sa.Text, nullable=False, unique=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("recipient", sa.String(254), nullable=False),
        sa.Column("recipient_folded", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("report_queue", sa.String(63), nullable=False),
        sa.Column("correlation_id", sa.Text, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("sent_at", sa.BigInteger),
        if_not_exists=True,
    )
    op.create_index("emails_recipient", "emails", ["recipient_folded", "email_id"], if_not_exists=True)


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("position", _NUMBER, primary_key=True),
        sa.Column("entry_id", sa.String(128), nullable=False, unique=True),
        sa.Column("queue", sa.String(63), nullable=False),
        sa.Column("order_key", sa.Text, nullable=False),
        sa.Column("withdraw", sa.Boolean, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("type_name", sa.String(512), nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        if_not_exists=True,
    )
    op.create_index("outbox_due", "outbox", ["due_at", "position"], if_not_exists=True)
    op.create_index(
        "outbox_failed",
        "outbox",
        ["position"],
        sqlite_where=sa.text("last_error <> ''"),
        postgresql_where=sa.text("last_error <> ''"),
        if_not_exists=True,
    )
    op.create_index("outbox_order", "outbox", ["order_key", "position"], if_not_exists=True)
