"""Migrations: from any revision to the newest, all or nothing, with the database for themselves."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from mesh.database import Database, DatabaseError, sqlite_url
from mesh.migration import MigrationError, look, migrate
from mesh.schema import State
from tests.support.diary import DIARY, NOTES, PAGES, diary_up_to, filled
from tests.support.postgres import emptied
from tests.support.schema_picture import picture
from tests.support.tool import ROOT

PAGE_COUNT = 1_050

HALF_DONE = """\
op.execute(sa.text("DELETE FROM notes"))
op.add_column("pages", sa.Column("colour", sa.Text))
op.drop_index("pages_words", "pages")
op.create_table("colours", sa.Column("colour", sa.Text))
"""

TWICE_THE_SAME = """\
op.execute(sa.text("UPDATE notes SET note = 'hunter2'"))
op.create_index("notes_note", "notes", ["note"], unique=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "diary.db")
    return emptied(request.getfixturevalue("postgres"))


@pytest.fixture
def old(url: str, tmp_path: Path) -> str:
    """A diary of the first revision, with pages."""
    migrate(url, diary_up_to("0001", tmp_path / "old"))
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        filled(connection, PAGE_COUNT)
    engine.dispose()
    return url


def contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    engine = sa.create_engine(url)
    found = sa.MetaData()
    with engine.connect() as connection:
        found.reflect(connection)
        rows = {
            table.name: sorted(tuple(row) for row in connection.execute(sa.select(table)))
            for table in found.sorted_tables
        }
    engine.dispose()
    return rows


def test_data_is_carried_over_batch_by_batch(old: str) -> None:
    before = contents(old)
    assert look(old, DIARY).state is State.OLDER

    account = migrate(old, DIARY)

    assert account.told(DIARY).startswith("the database is migrated from revision 0001 to revision 0002, in ")
    after = contents(old)
    assert after["pages"] == [(number, text, len(str(text).split())) for number, text in before["pages"]]
    assert after["notes"] == before["notes"]
    Database(old, DIARY).close()


def test_references_hold_again_after_the_table_they_refer_to_was_made_anew(old: str) -> None:
    migrate(old, DIARY)

    database = Database(old, DIARY)
    with pytest.raises(sa.exc.IntegrityError), database.engine.begin() as connection:
        connection.execute(sa.insert(NOTES).values(note="on nothing", page_number=-1))
    database.close()


def test_what_is_there_already_is_left_alone(old: str) -> None:
    migrate(old, DIARY)
    before = contents(old)

    account = migrate(old, DIARY)

    assert account.told(DIARY) == "the database has revision 0002: nothing to do"
    assert contents(old) == before


def test_history_ends_with_the_tables_of_the_code(url: str, old: str) -> None:
    migrate(old, DIARY)
    migrated = picture(old)

    if url.startswith("sqlite"):
        Path(str(sa.make_url(url).database)).unlink()
    else:
        emptied(url)
    Database(url, DIARY).close()

    assert migrated == picture(url)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ('raise KeyError("colour")', "KeyError: 'colour'"),
        ('op.execute(sa.text("INSERT INTO nowhere VALUES (1)"))', "nowhere"),
        ("op.execute(sa.text(\"INSERT INTO notes VALUES ('x', -1)\"))", "notes"),
    ],
)
def test_a_step_that_fails_leaves_everything_as_it_was(old: str, tmp_path: Path, end: str, told: str) -> None:
    broken = diary_up_to("0002", tmp_path / "broken", r0003=HALF_DONE + end)
    before, looked_like = contents(old), picture(old)

    with pytest.raises(MigrationError, match="failed and changed nothing") as failure:
        migrate(old, broken)

    assert told in str(failure.value)
    assert contents(old) == before
    assert picture(old) == looked_like
    migrate(old, DIARY)


def test_a_failure_quotes_no_rows(old: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MigrationError, match="failed and changed nothing") as failure:
        migrate(old, diary_up_to("0002", tmp_path / "broken", r0003=TWICE_THE_SAME))

    assert "hunter2" not in str(failure.value)
    output = capsys.readouterr()
    assert "migration_failed" in output.out + output.err
    assert "hunter2" not in output.out + output.err


KILLED = """\
import sys
from pathlib import Path
from mesh.migration import migrate
from tests.support.diary import diary_up_to
migrate({url!r}, diary_up_to("0002", Path({folder!r}), r0003=sys.argv[1]))
"""
# The long note does not fit into the memory that SQLite keeps for what is not committed: some of it is in its files.
STANDING_STILL = """
op.execute(sa.text("INSERT INTO notes VALUES (:note, 0)").bindparams(note="x" * 8_000_000))
print("in the middle", flush=True)
import sys
sys.stdin.read()
"""


def test_a_migration_killed_in_the_middle_leaves_everything_as_it_was(old: str, tmp_path: Path) -> None:
    before, looked_like = contents(old), picture(old)
    code = KILLED.format(url=old, folder=str(tmp_path / "killed"))
    command = [sys.executable, "-c", code, HALF_DONE + STANDING_STILL]

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert "in the middle\n" in iter(process.stdout.readline, "")
        process.kill()

    assert contents(old) == before
    assert picture(old) == looked_like
    migrate(old, DIARY)
    assert len(contents(old)["notes"]) == PAGE_COUNT


def test_a_newer_database_is_refused_by_a_start_and_by_the_command(old: str, tmp_path: Path) -> None:
    older_release = diary_up_to("0001", tmp_path / "release")
    migrate(old, DIARY)
    before = contents(old)
    assert look(old, older_release).state is State.NEWER

    for attempt in (Database, migrate):
        with pytest.raises(DatabaseError, match=r"is newer than this release: it has revision 0002"):
            attempt(old, older_release)

    assert contents(old) == before


def test_an_older_database_is_refused_by_a_start_which_says_the_command(old: str) -> None:
    before, looked_like = contents(old), picture(old)

    with pytest.raises(DatabaseError, match="has revision 0001, this release needs revision 0002") as refusal:
        Database(old, DIARY)

    assert str(refusal.value).endswith("make a backup, then run: python -m diary migrate")
    assert (contents(old), picture(old)) == (before, looked_like)


def test_a_database_in_use_is_not_migrated(old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.database.CLAIM_WAIT", 1)
    service = Database(old, diary_up_to("0001", tmp_path / "running"))
    try:
        with pytest.raises(DatabaseError, match="in use by another process"):
            migrate(old, DIARY)
        assert look(old, DIARY).state is State.OLDER
    finally:
        service.close()

    migrate(old, DIARY)


def test_a_service_waits_for_no_migration(old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.database.CLAIM_WAIT", 1)
    seen: list[str] = []
    monkeypatch.setattr("tests.support.diary.SEEN", seen, raising=False)
    body = """\
import tests.support.diary as diary
from mesh.database import Database, DatabaseError
try:
    Database(str(op.get_bind().engine.url.render_as_string(hide_password=False)), diary.DIARY)
except DatabaseError as error:
    diary.SEEN.append(str(error))
"""

    migrate(old, diary_up_to("0001", tmp_path / "slow", r0002=body))

    assert len(seen) == 1
    assert "in use by another process" in seen[0]


def test_a_look_at_a_database_makes_none(tmp_path: Path) -> None:
    found = look(sqlite_url(tmp_path / "nowhere" / "diary.db"), DIARY)

    assert (found.state, found.usable) == (State.EMPTY, True)
    assert list(tmp_path.iterdir()) == []


def test_a_look_leaves_nothing_beside_the_file_and_finds_it_whatever_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "50% of a?#b"
    migrate(sqlite_url(folder / "diary.db"), DIARY)
    before = sorted(folder.iterdir())

    assert look(sqlite_url(folder / "diary.db"), DIARY).state is State.CURRENT
    assert sorted(folder.iterdir()) == before


def test_revisions_are_found_in_a_folder_of_any_name(tmp_path: Path) -> None:
    schema = diary_up_to("0002", tmp_path / "50% of a b")

    migrate(sqlite_url(tmp_path / "diary.db"), schema)

    Database(sqlite_url(tmp_path / "diary.db"), DIARY).close()


@pytest.mark.parametrize("change", ["DELETE FROM schema_version", "INSERT INTO schema_version VALUES ('0001')"])
def test_a_database_that_does_not_know_its_revision_is_refused(tmp_path: Path, change: str) -> None:
    url = sqlite_url(tmp_path / "diary.db")
    migrate(url, DIARY)
    with closing(sqlite3.connect(tmp_path / "diary.db", isolation_level=None)) as connection:
        connection.execute(change)

    for attempt in (Database, migrate):
        with pytest.raises(DatabaseError, match=r"has \d schema revisions: no release"):
            attempt(url, DIARY)


@pytest.mark.parametrize("attempt", [migrate, look])
def test_what_is_no_database_is_refused(tmp_path: Path, attempt: Callable[..., object]) -> None:
    (tmp_path / "diary.db").write_text("my diary, which is long enough to be looked at as a header of SQLite" * 3)

    with pytest.raises(DatabaseError, match="not a database"):
        attempt(sqlite_url(tmp_path / "diary.db"), DIARY)


def test_a_table_that_others_keep_locked_is_not_waited_for_for_ever(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesh.migration.PATIENCE", "200ms")
    url = emptied(postgres)
    migrate(url, diary_up_to("0001", tmp_path / "old"))
    engine = sa.create_engine(url)
    with engine.connect() as dump:
        dump.exec_driver_sql("LOCK TABLE pages IN ACCESS SHARE MODE")

        with pytest.raises(MigrationError, match="lock timeout"):
            migrate(url, DIARY)

    engine.dispose()
    migrate(url, DIARY)


def test_an_empty_table_is_rewritten_too(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "diary.db")

    migrate(url, DIARY)

    assert contents(url)[PAGES.name] == []
