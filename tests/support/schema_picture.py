"""All that a database says of its schema, in a form in which two of them can be compared."""

import re
from typing import Any

import sqlalchemy as sa

Picture = dict[str, Any]


def picture(url: str) -> Picture:
    """The tables, columns, keys and indexes of a database, by name."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return _of_sqlite(connection) if engine.dialect.name == "sqlite" else _of_postgresql(connection)
    finally:
        engine.dispose()


def _of_sqlite(connection: sa.Connection) -> Picture:
    """What SQLite keeps: the statements, in which quotes, blanks and the order of columns say nothing."""
    rows = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'")
    return {f"{kind} {name}": _parts(sql or "") for kind, name, sql in rows}


def _parts(statement: str) -> list[str]:
    plain = re.sub(r"\s+", " ", statement.replace('"', "")).strip()
    head, _, rest = plain.partition("(")
    body, _, tail = rest.rpartition(")")
    return [head.strip(), *sorted(part.strip() for part in re.split(r",(?![^(]*\))", body)), tail.strip()]


def _of_postgresql(connection: sa.Connection) -> Picture:
    """What its catalogue says, in its own words."""
    queries = {
        "column": "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_schema = 'public'",
        "index": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "constraint": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND contype <> 'n'",  # those are columns' nullability again
        "sequence": "SELECT sequencename, data_type::text FROM pg_sequences WHERE schemaname = 'public'",
    }
    return {what: sorted(map(tuple, connection.exec_driver_sql(query))) for what, query in queries.items()}
