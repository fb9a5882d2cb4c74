"""Databases as the first release, which had no revisions, made them; the files beside this one never change."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mesh.schema import VERSION_TABLE, Schema

Rows = dict[str, list[dict[str, Any]]]
#: What these columns hold has a form.
_FORMED = {"body_kind": 1, "attributes": '{"seven": "7"}'}


@dataclass(frozen=True)
class Contents:
    """The rows of a database when it was made, and what became of them."""

    before: Rows
    look: Callable[[], Rows]

    def changed(self) -> list[str]:
        """The columns, among those that are still there, whose values are not what they were."""
        now = self.look()
        return [
            f"{name}.{column}"
            for name, rows in self.before.items()
            for before, after in zip(rows, now[name], strict=True)
            for column in before.keys() & after.keys()
            if before[column] != after[column]
        ]


def first_tables(url: str, schema: Schema) -> None:
    """Make the tables in an empty database, with nothing in them but the schema's number."""
    engine = sa.create_engine(url)
    service = schema.service.removesuffix("_service")
    file = Path(__file__).with_name(f"{service}.{engine.dialect.name}.sql")
    with engine.begin() as connection:
        for statement in file.read_text().split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()


def first_release(url: str, schema: Schema) -> Contents:
    """Make the tables in an empty database, with a row in each."""
    first_tables(url, schema)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        found = sa.MetaData()
        found.reflect(connection)
        tables = [table for table in found.sorted_tables if table.name != VERSION_TABLE]
        for table in tables:
            connection.execute(sa.insert(table).values({column: _value(column) for column in table.columns}))

    def look() -> Rows:
        names = [table.name for table in tables]
        with engine.connect() as connection:
            rows = {
                name: [row._asdict() for row in connection.execute(sa.text(f"SELECT * FROM {name}"))]  # ours
                for name in names
            }
        engine.dispose()
        return rows

    return Contents(look(), look)


def _value(column: "sa.Column[Any]") -> object:
    if column.name in _FORMED:
        return _FORMED[column.name]
    return {int: 7, str: "seven", bytes: b"7" * 16, bool: True}[column.type.python_type]
