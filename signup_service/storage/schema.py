"""The tables. Instants are microseconds since 1970, UTC; enums are kept by name.

A change here, or of the outbox, needs a revision: see `CONTRIBUTING.md`.
"""

from pathlib import Path

import sqlalchemy as sa

from mesh.nul_text import any_text
from mesh.outbox_table import OutboxTable
from mesh.schema import Schema

METADATA = sa.MetaData()

REGISTRATIONS = sa.Table(
    "registrations",
    METADATA,
    sa.Column("registration_id", any_text(), primary_key=True),
    sa.Column("first_name", sa.Text, nullable=False),
    sa.Column("last_name", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("distance", sa.String(32), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    # The address as it is compared while the place is taken, else NULL: NULLs are all different to a unique
    # constraint, so a cancelled registration frees its address.
    sa.Column("live_email_key", sa.Text, unique=True),
    sa.Column("confirmation_key", any_text(), nullable=False),
    # A copy of the newest confirmation's, so that a page of those in one state is one walk over an index.
    sa.Column("confirmation_state", sa.String(16), nullable=False),
    sa.Column("unconfirmed_since", sa.BigInteger),
    sa.Column("cancellation_key", any_text()),
    sa.Column("cause", sa.String(16)),
    sa.Column("reason", sa.Text),
    sa.Column("cancel_time", sa.BigInteger),
    sa.Column("create_time", sa.BigInteger, nullable=False),
    sa.Column("update_time", sa.BigInteger, nullable=False),
    sa.Index("registrations_by_confirmation", "confirmation_state", "registration_id"),
    sa.Index("registrations_unconfirmed", "unconfirmed_since"),
)

# Every email that a runner was ever owed: news of an earlier one finds it here.
NOTICES = sa.Table(
    "notices",
    METADATA,
    sa.Column("key", any_text(), primary_key=True),
    sa.Column("registration_id", sa.ForeignKey(REGISTRATIONS.c.registration_id), nullable=False, index=True),
    sa.Column("mode", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_error", any_text(), nullable=False),
    sa.Column("message_id", any_text(), nullable=False),
    sa.Column("email_id", any_text(), nullable=False),
    sa.Column("trace_id", sa.String(32), nullable=False),
    sa.Column("create_time", sa.BigInteger, nullable=False),
    sa.Column("update_time", sa.BigInteger, nullable=False),
    sa.Index("notices_in_state", "state", "mode"),
)

REQUESTS = sa.Table(
    "requests",
    METADATA,
    sa.Column("request_id", any_text(), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("registration_id", sa.ForeignKey(REGISTRATIONS.c.registration_id), nullable=False),
)

OUTBOX = OutboxTable(METADATA)

SCHEMA = Schema(
    "signup_service",
    METADATA,
    Path(__file__).with_name("migrations"),
    newest="0001",
    claim=1327605254,
    first_number=2,
)
