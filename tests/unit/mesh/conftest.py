from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.outbox_post import Post
from tests.support.planted_rules import PlantRules, planter


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlantRules:
    """Compiles a table of field rules that a test writes."""
    return planter(tmp_path, monkeypatch)


@pytest.fixture
async def post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Post]:
    """An outbox whose relay is not begun, and no broker yet."""
    monkeypatch.chdir(tmp_path)
    made = Post(tmp_path)
    yield made
    await made.close()
