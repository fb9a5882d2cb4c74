"""Inserts of many rows, handed to the driver as they are.

SQLAlchemy prepares the parameters of each row anew, which takes longer than storing it; the statement, in the driver's
own words, has to be made only once.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from mesh.nul_text import NulText, written


def bulk_insert(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows that name every column of the table, in values that the driver takes as they are."""
    statement, order, texts = _compiled(connection.dialect, table)
    if texts:
        rows = [{**row, **{name: row[name] and written(row[name]) for name in texts}} for row in rows]
    if order is None:
        connection.exec_driver_sql(statement, list(rows))
    else:
        connection.exec_driver_sql(statement, [tuple(row[name] for name in order) for row in rows])


@cache
def _compiled(dialect: sa.Dialect, table: sa.Table) -> tuple[str, tuple[str, ...] | None, tuple[str, ...]]:
    """The statement, the order of its parameters where they have no names, and the columns to write with care."""
    compiled = sa.insert(table).compile(dialect=dialect)
    texts = tuple(column.name for column in table.columns if isinstance(column.type.dialect_impl(dialect), NulText))
    return str(compiled), tuple(compiled.positiontup) if compiled.positiontup else None, texts
