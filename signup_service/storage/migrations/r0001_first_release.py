"""The tables of the first release, whose databases are taken over as they are: what is there stays."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make what is not there."""
    _outbox()
    _registrations()
    _notices()
    _requests()


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


def _registrations() -> None:
    op.create_table(
        "registrations",
        sa.Column("registration_id", sa.Text, primary_key=True),
        sa.Column("first_name", sa.Text, nullable=False),
        sa.Column("last_name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("distance", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("live_email_key", sa.Text, unique=True),
        sa.Column("confirmation_key", sa.Text, nullable=False),
        sa.Column("confirmation_state", sa.String(16), nullable=False),
        sa.Column("unconfirmed_since", sa.BigInteger),
        sa.Column("cancellation_key", sa.Text),
        sa.Column("cause", sa.String(16)),
        sa.Column("reason", sa.Text),
        sa.Column("cancel_time", sa.BigInteger),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_index(
        "registrations_by_confirmation", "registrations", ["confirmation_state", "registration_id"], if_not_exists=True
    )
    op.create_index("registrations_unconfirmed", "registrations", ["unconfirmed_since"], if_not_exists=True)


def _notices() -> None:
    op.create_table(
        "notices",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("registration_id", sa.Text, sa.ForeignKey("registrations.registration_id"), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("email_id", sa.Text, nullable=False),
        sa.Column("trace_id", sa.String(32), nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_notices_registration_id", "notices", ["registration_id"], if_not_exists=True)
    op.create_index("notices_in_state", "notices", ["state", "mode"], if_not_exists=True)


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("registration_id", sa.Text, sa.ForeignKey("registrations.registration_id"), nullable=False),
        if_not_exists=True,
    )
