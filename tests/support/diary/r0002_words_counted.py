"""The words of each page are counted."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from mesh.table_rewrite import replace_table, rewrite

revision = "0002"
down_revision = "0001"

_OLD = sa.Table("pages", sa.MetaData(), sa.Column("number", sa.Integer, primary_key=True), sa.Column("text", sa.Text))


def upgrade() -> None:
    """Make the pages anew, batch by batch."""
    new = op.create_table(
        "new_pages",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("words", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    rewrite(op.get_bind(), _OLD, new, _counted, batch=100)
    postgresql = op.get_bind().dialect.name == "postgresql"  # which lets no table go that another one refers to
    if postgresql:
        op.drop_constraint("notes_page_number_fkey", "notes")
    replace_table("pages", by="new_pages")
    if postgresql:
        op.create_foreign_key("notes_page_number_fkey", "notes", "pages", ["page_number"], ["number"])
    op.create_index("pages_words", "pages", ["words"])


def _counted(page: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**page, "words": len(page["text"].split())}
