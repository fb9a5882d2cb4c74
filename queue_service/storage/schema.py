"""The broker's tables.

Contents never change and are keyed by queue: a delivery never rewrites one, and a long backlog of one queue does not
slow another. What changes about a message is a narrow row of its own; the line of each queue is an index over those.
A column more is a microsecond more for every message, so nothing is in both, and a content is one value.
Counts are kept, not counted. Instants are microseconds (`mesh.clock`); message ids are their 16 bytes.

A change here needs a revision that makes it in the databases that are there: see `CONTRIBUTING.md`.
"""

from pathlib import Path

import sqlalchemy as sa

from mesh.nul_text import any_text
from mesh.schema import Schema

METADATA = sa.MetaData()

_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

#: What lease ids are signed with. A backup is without it, and the broker restored from it makes another one: a consumer
#: that was handed a lease after the backup cannot settle with it what the restored broker hands to somebody else.
STORE = sa.Table("store", METADATA, sa.Column("secret", sa.LargeBinary(16), nullable=False))

QUEUES = sa.Table(
    "queues",
    METADATA,
    sa.Column("number", _Number, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(63), nullable=False, unique=True),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("pause", sa.Text),
    sa.Column("create_time", sa.BigInteger, nullable=False),
    sa.Column("update_time", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,  # a number is never used again: lease ids of a deleted queue must not fit a new one
)

MESSAGES = sa.Table(
    "messages",
    METADATA,
    sa.Column("queue_number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("message_id", sa.LargeBinary(16), primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("deduplication_id", any_text(), nullable=False),
    sa.Column("send_time", sa.BigInteger, nullable=False),
    sa.Column("deliver_time", sa.BigInteger),
    sa.Column("dead_letter", sa.Text),
    sqlite_with_rowid=False,
)

DELIVERIES = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("queue_number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("message_id", sa.LargeBinary(16), primary_key=True),
    sa.Column("rank", sa.SmallInteger, nullable=False),
    sa.Column("due_at", sa.BigInteger, nullable=False),
    sa.Column("expire_time", sa.BigInteger, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("wire", sa.Integer, nullable=False),
    sa.Column("serial", sa.Integer, nullable=False),
    sa.Column("ordering_key", any_text()),
    sa.Column("lapsed", sa.SmallInteger, nullable=False),
    sa.Column("attached", sa.SmallInteger, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
    sa.Column("deliveries", sa.Integer, nullable=False),
    sa.Column("consumer_instance", any_text(), nullable=False),
    sa.Column("request_id", any_text()),
    sa.Column("failures", sa.Text),
    sa.Column("code", any_text(), nullable=False),
    sqlite_with_rowid=False,
)
#: What a settlement changes.
CHANGED = ("rank", "due_at", "lapsed", "failed", "request_id", "failures", "code")
#: Of a message that nobody in its queue has had yet.
UNTOUCHED = {"lapsed": 0, "attached": 0, "failed": 0, "deliveries": 0, "consumer_instance": ""}

sa.Index(
    "deliveries_line",
    DELIVERIES.c.queue_number,
    DELIVERIES.c.rank,
    DELIVERIES.c.due_at,
    DELIVERIES.c.message_id,
)
sa.Index("deliveries_end", DELIVERIES.c.queue_number, DELIVERIES.c.expire_time)
sa.Index(
    "deliveries_request",
    DELIVERIES.c.queue_number,
    DELIVERIES.c.request_id,
    sqlite_where=DELIVERIES.c.request_id.is_not(None),
    postgresql_where=DELIVERIES.c.request_id.is_not(None),
)

sa.Index(
    "deliveries_key",
    DELIVERIES.c.queue_number,
    DELIVERIES.c.ordering_key,
    DELIVERIES.c.message_id,
    sqlite_where=DELIVERIES.c.ordering_key.is_not(None),
    postgresql_where=DELIVERIES.c.ordering_key.is_not(None),
)

#: Written out, not a parameter, so that a query that says it may use the index that says it too.
HAS_CODE = sa.text("code <> ''")
sa.Index(
    "deliveries_code",
    DELIVERIES.c.queue_number,
    DELIVERIES.c.code,
    DELIVERIES.c.rank,
    DELIVERIES.c.due_at,
    DELIVERIES.c.message_id,
    sqlite_where=HAS_CODE,
    postgresql_where=HAS_CODE,
)

REPEATS = sa.Table(
    "repeats",
    METADATA,
    sa.Column("queue_number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.SmallInteger, primary_key=True),
    sa.Column("id", any_text(), primary_key=True),
    sa.Column("end_at", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.LargeBinary(16)),
    sa.Column("answer", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("repeats_end", REPEATS.c.queue_number, REPEATS.c.end_at)

REDRIVE_TASKS = sa.Table(
    "redrive_tasks",
    METADATA,
    sa.Column("redrive_task_id", any_text(), primary_key=True),
    sa.Column("definition", sa.Text, nullable=False),
)

#: The columns of COUNTERS that rise for ever; `queue_service.storage.views.Totals` has the same names.
TOTALS = (
    "sent",
    "deduplicated",
    "delivered",
    "acked",
    "retried",
    "released",
    "dead_lettered",
    "dropped",
    "expired",
    "purged",
    "cancelled",
    "redriven",
)
#: Those that tell what is there now.
LEVELS = ("messages", "leased", "blocked", "bytes")

COUNTERS = sa.Table(
    "counters",
    METADATA,
    sa.Column("queue_number", sa.BigInteger, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in LEVELS + TOTALS),
)

SCHEMA = Schema(
    "queue_service",
    METADATA,
    Path(__file__).with_name("migrations"),
    newest="0002",
    claim=2956126550,
    first_number=1,
    of_one_life=(STORE.name,),
)
