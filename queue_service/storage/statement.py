"""Statements of the hot path, compiled once and handed to the driver as they are.

SQLAlchemy's own preparation of a statement and its parameters takes longer than SQLite takes to execute most of them.
What it does for a value here is done here too: text that PostgreSQL cannot keep is written with care.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from mesh.nul_text import NulText, meant, written

Parameters = Mapping[str, Any]
Values = tuple[Any, ...]

# A list is filled up, by its last item, to one of these lengths: each is a statement of its own, and drivers keep only
# so many prepared. The last one is below 999, SQLite's smallest limit of parameters.
LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
MOST = LENGTHS[-1]


def fetch(connection: sa.Connection, statement: sa.Select[Any], parameters: Parameters) -> list[Values]:
    """The rows of a query made once, at import. A list among the parameters is for an expanding ``IN``."""
    compiled, arguments = _prepared(connection, statement, parameters)
    with_driver = connection.connection.cursor()
    try:
        with_driver.execute(compiled.text, arguments)
        rows: list[Values] = list(with_driver.fetchall())
    except connection.dialect.loaded_dbapi.Error as error:
        raise _translated(error, connection, compiled) from error
    return [compiled.read(row) for row in rows] if compiled.careful_columns else rows


def fetch_one(connection: sa.Connection, statement: sa.Select[Any], parameters: Parameters) -> Any:
    """The first column of the first row; None when there is none."""
    rows = fetch(connection, statement, parameters)
    return rows[0][0] if rows else None


def execute(connection: sa.Connection, statement: sa.Executable, parameters: Parameters) -> None:
    """Execute a statement made once, at import. A list among the parameters is for an expanding ``IN``."""
    compiled, arguments = _prepared(connection, statement, parameters)
    try:
        connection.connection.cursor().execute(compiled.text, arguments)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _translated(error, connection, compiled) from error


def execute_many(connection: sa.Connection, statement: sa.Executable, rows: Sequence[Values]) -> None:
    """Execute a statement for each of the rows, which have its parameters in their order."""
    compiled = _compiled(connection.dialect, statement, ())
    if compiled.careful:
        rows = [compiled.write(row) for row in rows]
    named = [dict(zip(compiled.names, row, strict=True)) for row in rows] if compiled.by_name else rows
    try:
        connection.connection.cursor().executemany(compiled.text, named)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _translated(error, connection, compiled) from error


def chunks(ids: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Ids in lists short enough for one statement."""
    return (ids[start : start + MOST] for start in range(0, len(ids), MOST))


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in a driver's words.

    Attributes:
        text: the statement.
        names: its parameters, those of a list one by one, in order.
        by_name: whether the driver takes them by their names.
        constants: parameters that the statement brings along.
        careful: positions of text to write with care.
        careful_columns: positions, in a row, of text that was.
    """

    text: str
    names: tuple[str, ...]
    by_name: bool
    constants: Mapping[str, Any]
    careful: frozenset[int]
    careful_columns: frozenset[int]

    def arguments(self, parameters: Parameters) -> Any:
        """The parameters as the driver takes them."""
        given = {**self.constants, **parameters}
        values = tuple([given[name] for name in self.names])
        if self.careful:
            values = self.write(values)
        return dict(zip(self.names, values, strict=True)) if self.by_name else values

    def write(self, values: Values) -> Values:
        """Values, their text written with care."""
        return tuple(written(v) if v and at in self.careful else v for at, v in enumerate(values))

    def read(self, row: Values) -> Values:
        """A row as it was before it was written with care."""
        return tuple(meant(v) if v and at in self.careful_columns else v for at, v in enumerate(row))


def _translated(error: Exception, connection: sa.Connection, compiled: _Compiled) -> Exception:
    """A driver's error as SQLAlchemy raises it, without the values, which may be a caller's secrets."""
    dialect, driver = connection.dialect, connection.connection.driver_connection
    lost = dialect.is_disconnect(error, driver, None)  # type: ignore[arg-type]
    base = dialect.loaded_dbapi.Error
    raised = exc.DBAPIError.instance(
        compiled.text, None, error, base, hide_parameters=True, connection_invalidated=lost, dialect=dialect
    )
    if lost:
        connection.invalidate(error)
    return raised


def _prepared(connection: sa.Connection, statement: sa.Executable, parameters: Parameters) -> tuple[_Compiled, Any]:
    lists = {name: value for name, value in parameters.items() if isinstance(value, list)}
    if not lists:
        compiled = _compiled(connection.dialect, statement, ())
        return compiled, compiled.arguments(parameters)
    lengths = {name: _length(len(value)) for name, value in lists.items()}
    compiled = _compiled(connection.dialect, statement, tuple(lengths.items()))
    single = {name: value for name, value in parameters.items() if name not in lists}
    for name, value in lists.items():
        full = value + value[-1:] * (lengths[name] - len(value))
        single.update(zip(_names(name, lengths[name]), full, strict=True))
    return compiled, compiled.arguments(single)


def _length(needed: int) -> int:
    return next(length for length in LENGTHS if length >= needed)


@cache
def _names(name: str, count: int) -> tuple[str, ...]:
    """What SQLAlchemy calls the items of a list."""
    return tuple(f"{name}_{number}" for number in range(1, count + 1))


@cache
def _compiled(dialect: sa.Dialect, statement: Any, lengths: tuple[tuple[str, int], ...]) -> _Compiled:
    compiled = statement.compile(dialect=dialect)
    lists = {name: [None] * length for name, length in lengths}
    expanded = compiled.construct_expanded_state({**dict.fromkeys(compiled.binds), **compiled.params, **lists})
    list_of = {item: name for name, length in lengths for item in _names(name, length)}
    names = tuple(expanded.parameters if expanded.positiontup is None else expanded.positiontup)
    types = [compiled.binds[list_of.get(name, name)].type for name in names]
    columns = enumerate(getattr(statement, "selected_columns", ()))
    return _Compiled(
        text=expanded.statement,
        names=names,
        by_name=expanded.positiontup is None,
        constants={name: value for name, value in compiled.params.items() if value is not None},
        careful=frozenset(at for at, type_ in enumerate(types) if _is_careful(type_, dialect)),
        careful_columns=frozenset(at for at, column in columns if _is_careful(column.type, dialect)),
    )


def _is_careful(type_: "sa.types.TypeEngine[Any]", dialect: sa.Dialect) -> bool:
    return isinstance(type_.dialect_impl(dialect), NulText)
