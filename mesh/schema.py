"""A service's tables, the revisions that led to them, and where a database stands among these.

A database says its revision in the table ``schema_version``. One without any of the service's tables is empty, and is
made as the newest revision has it; nothing else is ever changed but by the command ``migrate``.
"""

from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import sqlalchemy as sa

#: The first release kept a number in a table of this name, under another column: it refuses a database with revisions.
VERSION_TABLE = "schema_version"

_REVISIONS = sa.Table(
    VERSION_TABLE,
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)
#: The same table as the first release made it.
NUMBERS = sa.Table(VERSION_TABLE, sa.MetaData(), sa.Column("version", sa.Integer, nullable=False))


@dataclass(frozen=True)
class Schema:
    """What a service keeps its state in.

    Args:
        service: the package, as ``python -m`` is given it.
        metadata: the tables as this release needs them.
        revisions: the folder of the revisions' scripts.
        newest: the last of them, which leads to ``metadata``.
        claim: PostgreSQL's lock against a second process; the same in all releases, so that two of them, too, exclude
            each other.
        first_number: what the first release, which had no revisions, has in its databases; they are as the oldest
            revision makes them.
        of_one_life: tables whose rows a backup leaves out, because a database restored from it lives another life.
    """

    service: str
    metadata: sa.MetaData
    revisions: Path
    newest: str
    claim: int
    first_number: int | None = None
    of_one_life: tuple[str, ...] = ()


class State(Enum):
    """A database beside this release."""

    EMPTY = auto()
    CURRENT = auto()
    NUMBERED = auto()
    """Made by the first release."""
    OLDER = auto()
    NEWER = auto()
    STRANGE = auto()
    """Nothing that a release leaves behind."""


@dataclass(frozen=True)
class Standing:
    """Where a database stands, and what it has that says so."""

    state: State
    found: str

    @property
    def usable(self) -> bool:
        """Whether a service may start on it."""
        return self.state in {State.EMPTY, State.CURRENT}

    @property
    def migratable(self) -> bool:
        """Whether there is something to migrate, and a way to do it."""
        return self.state in {State.NUMBERED, State.OLDER}


def create(connection: sa.Connection, schema: Schema) -> None:
    """Make all tables, at the newest revision."""
    schema.metadata.create_all(connection)
    _REVISIONS.create(connection)
    connection.execute(sa.insert(_REVISIONS).values(version_num=schema.newest))


def standing(connection: sa.Connection, schema: Schema) -> Standing:
    """Where the database stands."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(VERSION_TABLE):
        taken = sorted(set(inspector.get_table_names()) & set(schema.metadata.tables))
        if taken:
            return Standing(State.STRANGE, f"a table {taken[0]} and no schema version")
        return Standing(State.EMPTY, "nothing in it")
    if "version_num" not in {column["name"] for column in inspector.get_columns(VERSION_TABLE)}:
        return _numbered(connection.execute(sa.select(NUMBERS.c.version)).scalar_one(), schema)
    found = connection.execute(sa.select(_REVISIONS.c.version_num)).scalars().all()
    if len(found) != 1:
        return Standing(State.STRANGE, f"{len(found)} schema revisions")
    return Standing(_state(found[0], schema), f"revision {found[0]}")


def refusal(found: Standing, schema: Schema) -> str:
    """Why no service may start on a database, and what is to be done."""
    if found.migratable:
        return (
            f"the database has {found.found}, this release needs revision {schema.newest}: "
            f"stop whatever uses it, make a backup, then run: python -m {schema.service} migrate"
        )
    if found.state is State.NEWER:
        return (
            f"the database is newer than this release: it has {found.found}, this "
            f"release knows none beyond {schema.newest}"
        )
    return f"the database has {found.found}: no release of {schema.service} that this one follows leaves one like that"


def _numbered(number: int, schema: Schema) -> Standing:
    state = State.NUMBERED if number == schema.first_number else State.STRANGE
    return Standing(state, f"schema version {number}")


def _state(revision: str, schema: Schema) -> State:
    if revision == schema.newest:
        return State.CURRENT
    # Imported here: a service whose database is as it should be has no need of Alembic.
    from mesh.revision_scripts import known

    return State.OLDER if revision in known(schema) else State.NEWER
