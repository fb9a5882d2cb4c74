"""A big table carried over into another one, batch by batch: what a revision needs that changes what rows hold.

All batches are in the one transaction of the migration; they bound the memory, and tell how far it is.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from mesh.telemetry import get_logger

#: Rows read and written at a time.
BATCH = 1000
#: Seconds between two records of how far it is.
NEWS = 5.0

log = get_logger(__name__)

Row = dict[str, Any]


def rewrite(
    connection: sa.Connection,
    source: sa.Table,
    target: sa.Table,
    rewritten: Callable[[Row], Mapping[str, Any]],
    *,
    batch: int = BATCH,
) -> int:
    """Put every row of one table, rewritten, into another; how many.

    Args:
        connection: in the migration's transaction.
        source: with a primary key, by which it is walked.
        target: made, and best without indexes yet.
        rewritten: a row of the target for one of the source.
        batch: rows at a time.
    """
    total: int = connection.execute(sa.select(sa.func.count()).select_from(source)).scalar_one()
    done, told = 0, time.monotonic()
    for rows in batches(connection, source, batch=batch):
        connection.execute(sa.insert(target), [rewritten(row) for row in rows])
        done += len(rows)
        if time.monotonic() - told >= NEWS:
            told = time.monotonic()
            log.info("a table is being rewritten", action="table_rewrite", table=source.name, rows=done, of=total)
    log.info("a table is rewritten", action="table_rewritten", table=source.name, rows=done)
    return done


def batches(connection: sa.Connection, source: sa.Table, *, batch: int = BATCH) -> Iterator[Sequence[Row]]:
    """The rows of a table in the order of its primary key; those behind the last one seen are asked for each time."""
    key = list(source.primary_key.columns)
    query = sa.select(source).order_by(*key).limit(batch)
    behind = sa.tuple_(*key) > sa.tuple_(*(sa.bindparam(f"last_{column.name}", type_=column.type) for column in key))
    last: dict[str, Any] = {}
    while rows := [row._asdict() for row in connection.execute(query.where(behind) if last else query, last)]:
        yield rows
        last = {f"last_{column.name}": rows[-1][column.name] for column in key}


def replace_table(old: str, *, by: str) -> None:
    """In a revision: drop a table, and give its name to another one, which has no indexes yet."""
    op.drop_table(old)
    op.rename_table(by, old)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f'ALTER INDEX "{by}_pkey" RENAME TO "{old}_pkey"')
