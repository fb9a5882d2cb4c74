"""The tables. A change here needs a new version."""

import sqlalchemy as sa

from mesh.outbox_table import OutboxTable

VERSION = 1

metadata = sa.MetaData()

emails = sa.Table(
    "emails",
    metadata,
    sa.Column("email_id", sa.String(36), primary_key=True),
    sa.Column("idempotency_key", sa.String(128), nullable=False, unique=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("recipient", sa.String(254), nullable=False),
    sa.Column("recipient_folded", sa.Text, nullable=False),  # folding can lengthen a text
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("report_queue", sa.String(63), nullable=False),
    sa.Column("correlation_id", sa.String(128), nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("last_error", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("sent_at", sa.BigInteger),
)
sa.Index("emails_recipient", emails.c.recipient_folded, emails.c.email_id)

outbox = OutboxTable(metadata)
