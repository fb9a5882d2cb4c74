"""The published table of settings is what the services read."""

import tomllib

import pytest

from email_service.settings import EmailSettings
from mesh.settings import Settings
from queue_service.settings import QueueSettings
from signup_service.settings import SignupSettings
from tests.support.tool import ROOT

TABLE = tomllib.loads((ROOT / "protos" / "baton" / "settings.toml").read_text())


def aliases(model: type[Settings]) -> set[str]:
    return {field.alias for field in model.model_fields.values() if field.alias}


def test_it_lists_exactly_what_some_service_reads() -> None:
    read = aliases(QueueSettings) | aliases(EmailSettings) | aliases(SignupSettings)

    assert set(TABLE) == read


@pytest.mark.parametrize("name", sorted(TABLE))
def test_each_has_a_meaning_and_a_default(name: str) -> None:
    assert TABLE[name].keys() == {"meaning", "default"}
    assert all(TABLE[name].values())


@pytest.mark.parametrize("model", [QueueSettings, EmailSettings, SignupSettings])
def test_every_knob_of_a_service_has_a_variable(model: type[Settings]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.alias] == []
