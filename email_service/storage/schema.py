"""The tables. A change here, or of the outbox, needs a revision: see `CONTRIBUTING.md`."""

from pathlib import Path

import sqlalchemy as sa

from mesh.nul_text import any_text
from mesh.outbox_table import OutboxTable
from mesh.schema import Schema

metadata = sa.MetaData()

emails = sa.Table(
    "emails",
    metadata,
    sa.Column("email_id", any_text(), primary_key=True),
    sa.Column("idempotency_key", any_text(), nullable=False, unique=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("recipient", sa.String(254), nullable=False),
    sa.Column("recipient_folded", any_text(), nullable=False),  # folding can lengthen a text
    sa.Column("subject", any_text(), nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("report_queue", sa.String(63), nullable=False),
    sa.Column("correlation_id", any_text(), nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("last_error", any_text(), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("sent_at", sa.BigInteger),
)
sa.Index("emails_recipient", emails.c.recipient_folded, emails.c.email_id)

outbox = OutboxTable(metadata)

SCHEMA = Schema(
    "email_service",
    metadata,
    Path(__file__).with_name("migrations"),
    newest="0001",
    claim=1565386643,
    first_number=2,
)
