"""A revision is begun by a script, which finds out what has changed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tool import ROOT


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What a revision of the email service's tables needs, to be changed."""
    for name in ("mesh", "email_service", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def begin(tree: Path) -> str:
    """Begin a revision; what its file has."""
    command = [sys.executable, "scripts/revision.py", "email_service", "Emails have a colour"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    newest = max((tree / "email_service/storage/migrations").glob("r*_emails_have_a_colour.py"))
    assert f"newest='{newest.name[1:5]}'" in done.stdout
    return newest.read_text()


def test_a_new_column_is_in_the_script_that_is_begun(tree: Path) -> None:
    schema = tree / "email_service/storage/schema.py"
    text = schema.read_text()
    changed = text.replace(
        '    "emails",\n    metadata,\n', '    "emails",\n    metadata,\n    sa.Column("colour", sa.Text),\n'
    )
    assert changed != text
    schema.write_text(changed)

    script = begin(tree)

    assert script.startswith('"""Emails have a colour."""\n')
    assert "add_column(sa.Column('colour', sa.Text(), nullable=True))" in script
    assert "drop" not in script


def test_without_a_change_the_script_does_nothing(tree: Path) -> None:
    script = begin(tree)

    assert "    pass\n" in script
    assert "op." not in script.partition("def upgrade")[2]
