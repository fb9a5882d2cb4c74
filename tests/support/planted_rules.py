"""Field rules of a test's own making, for the messages of the real contracts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.message import Message

from mesh.errors import Violation
from mesh.field_rules import FieldRules

PlantRules = Callable[[str], FieldRules]


def planter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> PlantRules:
    """A function that compiles a table, written as TOML, as if it were the one of ``baton.queue.v1``."""

    def plant(table: str) -> FieldRules:
        path = folder / "queue" / "v1" / "field_rules.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(table)
        monkeypatch.setattr("mesh.field_rules.files", lambda _: folder)
        return FieldRules(["queue"])

    return plant


def check(rules: FieldRules, message: Message) -> list[Violation]:
    """Every violation in a message that arrived as it would be sent."""
    return rules.check(message, message.ByteSize())


def fields(violations: list[Violation]) -> list[str]:
    return [violation.field for violation in violations]
