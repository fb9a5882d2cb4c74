"""A message's content, what its producer says to the consumer, becomes the bytes of one protobuf message."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from baton.queue.v1.message_pb2 import QueueMessage, TypedBody
from mesh.nul_text import meant
from mesh.table_rewrite import replace_table, rewrite

revision = "0002"
down_revision = "0001"

_TEXT, _JSON, _DATA, _TYPED = 1, 2, 3, 4

_OLD = sa.Table(
    "messages",
    sa.MetaData(),
    sa.Column("queue_number", sa.BigInteger, primary_key=True),
    sa.Column("message_id", sa.LargeBinary(16), primary_key=True),
    sa.Column("body_kind", sa.SmallInteger),
    sa.Column("type_name", sa.Text),
    sa.Column("body", sa.LargeBinary),
    sa.Column("attributes", sa.Text),
    sa.Column("content_type", sa.Text),
    sa.Column("deduplication_id", sa.Text),
    sa.Column("send_time", sa.BigInteger),
    sa.Column("deliver_time", sa.BigInteger),
    sa.Column("dead_letter", sa.Text),
)
_KEPT = ("queue_number", "message_id", "deduplication_id", "send_time", "deliver_time", "dead_letter")


def upgrade() -> None:
    """Make the messages anew, batch by batch; ordering keys and expiry are in the deliveries too."""
    new = op.create_table(
        "new_messages",
        sa.Column("queue_number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("message_id", sa.LargeBinary(16), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("deduplication_id", sa.Text, nullable=False),
        sa.Column("send_time", sa.BigInteger, nullable=False),
        sa.Column("deliver_time", sa.BigInteger),
        sa.Column("dead_letter", sa.Text),
        sqlite_with_rowid=False,
    )
    careful = op.get_bind().dialect.name == "postgresql"

    def rewritten(row: Mapping[str, Any]) -> dict[str, Any]:
        content_type = meant(row["content_type"]) if careful else row["content_type"]
        content = _content(row, content_type).SerializeToString()
        return {**{name: row[name] for name in _KEPT}, "content": content}

    rewrite(op.get_bind(), _OLD, new, rewritten)
    replace_table("messages", by="new_messages")


def _content(row: Mapping[str, Any], content_type: str) -> QueueMessage:
    content = QueueMessage(content_type=content_type)
    content.attributes.update(json.loads(row["attributes"]) if row["attributes"] else {})
    kind, body = row["body_kind"], row["body"]
    if kind == _TEXT:
        content.text = body.decode()
    elif kind == _JSON:
        content.json = body.decode()
    elif kind == _DATA:
        content.data = body
    elif kind == _TYPED:
        content.typed.CopyFrom(TypedBody(type_name=row["type_name"], value=body))
    return content
