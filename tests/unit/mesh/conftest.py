from pathlib import Path

import pytest

from tests.support.planted_rules import PlantRules, planter


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlantRules:
    """Compiles a table of field rules that a test writes."""
    return planter(tmp_path, monkeypatch)
