"""A database brought to the newest revision, all of it in one transaction: either everything is done or nothing."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command

from mesh.database import Database, DatabaseError
from mesh.revision_scripts import configured
from mesh.schema import NUMBERS, Schema, Standing, State, refusal, standing
from mesh.sqlite_file import open_existing
from mesh.telemetry import get_logger

#: How long a table may be kept by others, such as a dump, before the migration gives up and changes nothing.
PATIENCE = "10s"
#: What SQLite may keep in memory, in KiB; its own 2 MB make it write pages of a big table many times over.
CACHE = 64 * 1024

log = get_logger(__name__)
logging.getLogger("alembic").setLevel(logging.WARNING)  # what it says of each step is said below, in our words


class MigrationError(Exception):
    """A revision's script failed; the database is as it was."""


@dataclass(frozen=True)
class Account:
    """What a migration found and how long it took."""

    found: Standing
    seconds: float

    def told(self, schema: Schema) -> str:
        """What was done, as a person is told it."""
        if self.found.state is State.CURRENT:
            return f"the database has {self.found.found}: nothing to do"
        before = "nothing" if self.found.state is State.EMPTY else self.found.found
        return f"the database is migrated from {before} to revision {schema.newest}, in {self.seconds:.1f} s"


def migrate(url: str, schema: Schema) -> Account:
    """Bring a database that no service uses to the newest revision; one that is there is left as it is.

    Raises:
        DatabaseError: it cannot be used, is in use, or is nothing that can be migrated.
        MigrationError: it could not be migrated and is as it was.
    """
    began = time.monotonic()
    migration = _Migration(schema)
    Database(url, schema, prepare=migration).close()
    return Account(migration.found, time.monotonic() - began)


def look(url: str, schema: Schema) -> Standing:
    """Where a database stands. Changes nothing and takes no lock: a service may be using it.

    Raises:
        DatabaseError: it cannot be read.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() != "sqlite":
            engine = sa.create_engine(parsed, hide_parameters=True)
        elif not parsed.database or not (path := Path(parsed.database)).exists():
            return Standing(State.EMPTY, "no file yet")
        else:
            engine = sa.create_engine("sqlite://", creator=lambda: open_existing(path))
        try:
            with engine.connect() as connection:
                return standing(connection, schema)
        finally:
            engine.dispose()
    except (sa.exc.SQLAlchemyError, ImportError, ValueError) as error:
        raise DatabaseError.of(error) from error


class _Migration:
    """What is done in the first transaction on a database."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self.found = Standing(State.STRANGE, "was not looked at")

    def __call__(self, connection: sa.Connection) -> None:
        self.found = standing(connection, self._schema)
        if self.found.state is State.CURRENT:
            return
        if self.found.state is not State.EMPTY and not self.found.migratable:
            raise DatabaseError(refusal(self.found, self._schema))
        try:
            self._upgrade(connection)
        except Exception as error:  # of whatever kind a script raises
            # What a database says in full quotes rows, as PostgreSQL does of a key that is there twice.
            shown = None if isinstance(error, sa.exc.DBAPIError) else error
            log.error("a migration failed", action="migration_failed", reason=_sentence(error), exc_info=shown)
            raise MigrationError(f"the migration failed and changed nothing: {_sentence(error)}") from error

    def _upgrade(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}'")
        else:
            connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE}")
        if self.found.state is State.NUMBERED:
            NUMBERS.drop(connection)
        config = configured(self._schema, connection)
        config.attributes["applied"] = _applied
        command.upgrade(config, "head")
        if connection.dialect.name == "sqlite":
            _check_references(connection)


def _applied(*, step: Any, **_: object) -> None:
    log.info("a revision is applied", action="revision_applied", revision=step.up_revision_id)


def _check_references(connection: sa.Connection) -> None:
    """SQLite holds no foreign keys while tables are rewritten; what the scripts left is looked through instead."""
    dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if dangling is not None:
        raise ValueError(f"rows of {dangling[0]} refer to rows of {dangling[2]} that are not there")


def _sentence(error: Exception) -> str:
    if isinstance(error, sa.exc.DBAPIError):
        return str(error.orig).partition("\n")[0]
    return f"{type(error).__name__}: {error}"
