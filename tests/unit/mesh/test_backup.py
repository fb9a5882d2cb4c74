"""Backups of SQLite files: of one instant, sound, and never over something that is there."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from mesh.backup import back_up
from mesh.database import Database, DatabaseError, sqlite_url
from tests.support.plain_schema import plain_schema

METADATA = sa.MetaData()
NOTES = sa.Table("notes", METADATA, sa.Column("text", sa.Text, nullable=False))
SECRETS = sa.Table("secrets", METADATA, sa.Column("secret", sa.Text, nullable=False))
SCHEMA = plain_schema(METADATA)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "data" / "state 50%?.db")


@pytest.fixture
def service(url: str) -> Iterator[Database]:
    """Somebody who uses the database, with a note that is in the write-ahead log only."""
    opened = Database(url, SCHEMA)
    with opened.engine.begin() as connection:
        connection.execute(sa.insert(NOTES).values(text="committed"))
        connection.execute(sa.insert(SECRETS).values(secret="hunter2"))
    yield opened
    opened.close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "a copy.db"


def rows(file: Path, table: str = "notes") -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute(f"SELECT * FROM {table}")]


def test_what_was_committed_is_in_the_copy_and_what_was_not_is_not(service: Database, url: str, target: Path) -> None:
    with service.engine.connect() as connection, connection.begin():
        connection.execute(sa.insert(NOTES).values(text="under way"))

        backup = back_up(url, target)

    assert rows(target) == ["committed"]
    assert backup.bytes == target.stat().st_size


def test_the_service_works_on_after_it(service: Database, url: str, target: Path) -> None:
    back_up(url, target)

    with service.engine.begin() as connection:
        connection.execute(sa.insert(NOTES).values(text="later"))
        assert connection.execute(sa.select(NOTES.c.text)).scalars().all() == ["committed", "later"]
    assert rows(target) == ["committed"]


def test_a_service_starts_on_the_copy(service: Database, url: str, target: Path, tmp_path: Path) -> None:
    back_up(url, target)

    restored = Database(sqlite_url(target), SCHEMA)

    with restored.engine.begin() as connection:
        assert connection.execute(sa.select(NOTES.c.text)).scalars().all() == ["committed"]
    restored.close()


def test_the_copy_is_one_file_that_its_owner_alone_can_read(service: Database, url: str, target: Path) -> None:
    back_up(url, target)

    assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_mode & 0o077 == 0


def test_what_belongs_to_one_life_is_left_out(service: Database, url: str, target: Path) -> None:
    back_up(url, target, without=("secrets", "not there"))

    assert rows(target, "secrets") == []
    assert rows(target) == ["committed"]
    with service.engine.begin() as connection:
        assert connection.execute(sa.select(SECRETS.c.secret)).scalars().all() == ["hunter2"]


def test_a_database_that_nobody_uses_is_backed_up_too(service: Database, url: str, target: Path) -> None:
    service.close()

    back_up(url, target)

    assert rows(target) == ["committed"]


def test_what_is_there_is_not_replaced(service: Database, url: str, target: Path) -> None:
    target.write_text("the backup of yesterday")

    with pytest.raises(DatabaseError, match="is there already; a backup replaces nothing"):
        back_up(url, target)

    assert target.read_text() == "the backup of yesterday"
    assert list(target.parent.iterdir()) == [target]


def test_the_database_itself_is_not_replaced(service: Database, url: str) -> None:
    with pytest.raises(DatabaseError, match="is there already"):
        back_up(url, Path(str(sa.make_url(url).database)))


def test_a_damaged_database_makes_no_backup(url: str, target: Path) -> None:
    file = Path(str(sa.make_url(url).database))
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE notes (text TEXT NOT NULL)")
        connection.execute("CREATE INDEX notes_text ON notes (text)")
        connection.executemany("INSERT INTO notes VALUES (?)", [(f"note {number:>2}",) for number in range(50)])
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'notes_text'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    whole = bytearray(file.read_bytes())
    start = whole.index(b"note 17", (page - 1) * size)
    assert start < page * size
    whole[start : start + 7] = b"note 99"
    file.write_bytes(whole)

    with pytest.raises(DatabaseError, match="the copy is damaged"):
        back_up(url, target)

    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("database", "told"),
    [
        ("sqlite:////nowhere/at/all.db", "there is no database /nowhere/at/all.db"),
        ("sqlite://", "there is no database in memory"),
        ("postgresql+psycopg://user:hunter2@host/database", "PostgreSQL has pg_dump"),
        ("not a url", "cannot be opened"),
    ],
)
def test_what_cannot_be_backed_up_is_told(target: Path, database: str, told: str) -> None:
    with pytest.raises(DatabaseError, match=told) as refusal:
        back_up(database, target)

    assert "hunter2" not in str(refusal.value)
    assert not target.exists()


def test_a_folder_that_is_not_there_is_told(service: Database, url: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"cannot be backed up to .*No such file or directory"):
        back_up(url, tmp_path / "nowhere" / "copy.db")
