"""A schema with a history of two revisions: pages, and then pages whose words are counted."""

import shutil
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from mesh.schema import Schema

METADATA = sa.MetaData()
PAGES = sa.Table(
    "pages",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("words", sa.Integer, nullable=False),
    sa.Index("pages_words", "words"),
    sqlite_with_rowid=False,
)
NOTES = sa.Table(
    "notes",
    METADATA,
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("page_number", sa.ForeignKey(PAGES.c.number), nullable=False),
)

DIARY = Schema("diary", METADATA, Path(__file__).parent, newest="0002", claim=77)

OLD_PAGES = sa.table("pages", sa.column("number"), sa.column("text"))
OLD_NOTES = sa.table("notes", sa.column("note"), sa.column("page_number"))


def diary_up_to(revision: str, folder: Path, **further: str) -> Schema:
    """The diary as a release has it whose newest revision is this one, or the last of ``further``, by their scripts."""
    folder.mkdir()
    for script in sorted(DIARY.revisions.glob("r*.py")):
        if script.name[1:5] <= revision:
            shutil.copy(script, folder)
    newest = revision
    for name, body in further.items():
        lines = ["import sqlalchemy as sa", "from alembic import op", f"revision = {name[1:]!r}"]
        lines += [f"down_revision = {newest!r}", "def upgrade():", *(f"    {line}" for line in body.splitlines())]
        (folder / f"{name}.py").write_text("\n".join(lines))
        newest = name[1:]
    return replace(DIARY, revisions=folder, newest=newest)


def filled(connection: sa.Connection, pages: int) -> None:
    """Put pages into a diary of the first revision, and a note on each."""
    rows = [{"number": number, "text": f"{number} " + "word " * (number % 5)} for number in range(pages)]
    connection.execute(sa.insert(OLD_PAGES), rows)
    notes = [{"note": f"on {number}", "page_number": number} for number in range(pages)]
    connection.execute(sa.insert(OLD_NOTES), notes)
