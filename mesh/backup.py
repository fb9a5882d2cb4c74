"""A copy of an SQLite database in use: as it was at one instant, checked before it has its name."""

import os
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from mesh.database import DatabaseError
from mesh.sqlite_file import open_existing


@dataclass(frozen=True)
class Backup:
    """What was copied, and how long it took."""

    bytes: int
    seconds: float


def back_up(url: str, target: Path, *, without: Sequence[str] = ()) -> Backup:
    """Copy an SQLite database to a file that is not there yet; whoever uses it meanwhile goes on undisturbed.

    What was committed before the call is in the copy. The copy is one read of one state of the database, for as long
    as which the write-ahead log cannot be cut short.

    Raises:
        DatabaseError: there is nothing to copy, the file is there already, or the copy is not sound.
    """
    began = time.monotonic()
    source = _file(url)
    try:
        if target.exists():
            raise FileExistsError
        part = _new_file_beside(target)
        try:
            _copy(source, part)
            _empty(part, without)
            _check(part)
            _flush(part)
            os.close(os.open(target, os.O_CREAT | os.O_EXCL))  # whoever came first has the name
            part.replace(target)
            _flush(target.parent)
        finally:
            for left in (part, *(part.with_name(f"{part.name}{suffix}") for suffix in ("-wal", "-shm", "-journal"))):
                left.unlink(missing_ok=True)
        return Backup(target.stat().st_size, time.monotonic() - began)
    except FileExistsError as error:
        raise DatabaseError(f"{target} is there already; a backup replaces nothing") from error
    except (sqlite3.Error, OSError) as error:
        raise DatabaseError(f"{source} cannot be backed up to {target}: {error}") from error


def _file(url: str) -> Path:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.SQLAlchemyError, ValueError) as error:
        raise DatabaseError(f"the database cannot be opened: {error}") from error
    if parsed.get_backend_name() != "sqlite":
        raise DatabaseError("only an SQLite file is backed up so; PostgreSQL has pg_dump")
    if not parsed.database or not Path(parsed.database).exists():
        raise DatabaseError(f"there is no database {parsed.database or 'in memory'}")
    return Path(parsed.database)


def _new_file_beside(target: Path) -> Path:
    """Open to its owner alone, as what is copied may be; its name is new, whatever a killed process left behind."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    return Path(name)


def _copy(source: Path, part: Path) -> None:
    with closing(open_existing(source)) as original, closing(open_existing(part)) as copy:
        # In one step: more would begin anew with every commit of a busy service.
        original.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it


def _empty(part: Path, tables: Sequence[str]) -> None:
    with closing(open_existing(part)) as copy, copy:
        there = {row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in there.intersection(tables):
            copy.execute(f'DELETE FROM "{table}"')  # noqa: S608 - a name of ours


def _check(part: Path) -> None:
    with closing(open_existing(part)) as copy:
        found = [row[0] for row in copy.execute("PRAGMA integrity_check(10)")]
    if found != ["ok"]:
        raise sqlite3.DatabaseError(f"the copy is damaged: {'; '.join(map(str, found))}")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
