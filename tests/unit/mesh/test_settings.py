"""The environment as settings."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator, Field, ValidationError

from mesh.settings import Addresses, Duration, Settings, SettingsError, load, published


def _refuse(value: str) -> str:
    raise ValueError("must name a host")


class Probe(Settings):
    listen: Addresses = Field(default=("127.0.0.1:1",), alias="BATON_QUEUE_LISTEN")
    wait: Duration = Field(default=timedelta(seconds=5), alias="BATON_EMAIL_SMTP_TIMEOUT")
    database_url: Annotated[str, AfterValidator(_refuse)] = Field(default="", alias="BATON_QUEUE_DATABASE_URL")


def problems(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        load(Probe, environment)
    return refusal.value.problems


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = load(Probe, {})

    assert (settings.data_dir, settings.listen) == (Path(".baton"), ("127.0.0.1:1",))
    assert (settings.log_format, settings.log_level, settings.grace) == ("json", "INFO", timedelta(seconds=20))


def test_values_are_read_into_their_types() -> None:
    environment = {
        "BATON_DATA_DIR": "/data",
        "BATON_GRACE": "1.5m",
        "BATON_LOG_FORMAT": "console",
        "BATON_QUEUE_LISTEN": "127.0.0.1:5, unix:/run/a.sock ,",
        "BATON_EMAIL_SMTP_TIMEOUT": "250ms",
    }

    settings = load(Probe, environment)

    assert (settings.data_dir, settings.grace) == (Path("/data"), timedelta(seconds=90))
    assert settings.log_format == "console"
    assert settings.listen == ("127.0.0.1:5", "unix:/run/a.sock")
    assert settings.wait == timedelta(milliseconds=250)


def test_an_empty_variable_counts_as_unset() -> None:
    assert load(Probe, {"BATON_GRACE": "", "BATON_QUEUE_LISTEN": "", "BATON_NO_SUCH": ""}) == load(Probe, {})


def test_other_variables_are_none_of_our_business() -> None:
    assert load(Probe, {"PATH": "/bin", "baton_grace": "x", "GRPC_VERBOSITY": "info"}) == load(Probe, {})


def test_a_sisters_variable_is_known_and_not_looked_at() -> None:
    assert load(Probe, {"BATON_SIGNUP_RACE_START": "no time at all"}) == load(Probe, {})


def test_a_misspelt_variable_is_refused_with_the_nearest_name() -> None:
    assert problems({"BATON_QUEUE_LISTN": "127.0.0.1:5"}) == [
        "BATON_QUEUE_LISTN is no setting; did you mean BATON_QUEUE_LISTEN?"
    ]
    assert problems({"BATON_XYZZY_PLUGH_QUUX": "1"}) == ["BATON_XYZZY_PLUGH_QUUX is no setting"]


def test_all_problems_are_named_at_once() -> None:
    found = problems(
        {
            "BATON_GARCE": "5s",
            "BATON_GRACE": "soon",
            "BATON_LOG_LEVEL": "LOUD",
            "BATON_QUEUE_LISTEN": "127.0.0.1:5,nowhere",
            "BATON_QUEUE_DATABASE_URL": "postgresql://baton:hunter2@/x",
        }
    )

    assert sorted(problem.partition(":")[0].partition(" ")[0] for problem in found) == [
        "BATON_GARCE",
        "BATON_GRACE",
        "BATON_LOG_LEVEL",
        "BATON_QUEUE_DATABASE_URL",
        "BATON_QUEUE_LISTEN",
    ]


def test_a_problem_shows_the_value_but_never_one_of_a_url() -> None:
    (level,) = problems({"BATON_LOG_LEVEL": "LOUD"})
    (url,) = problems({"BATON_QUEUE_DATABASE_URL": "postgresql://baton:hunter2@/x"})

    assert "'LOUD'" in level
    assert url == "BATON_QUEUE_DATABASE_URL: must name a host"


@pytest.mark.parametrize("text", ["soon", "-5s", "5", "9" * 40 + "d", "9" * 5_000 + "d"])
def test_a_duration_that_is_none_is_a_problem(text: str) -> None:
    (problem,) = problems({"BATON_GRACE": text})

    assert problem.startswith("BATON_GRACE: ")
    assert len(problem) < 300


def test_a_list_of_no_addresses_is_a_problem() -> None:
    (problem,) = problems({"BATON_QUEUE_LISTEN": " , "})

    assert problem.startswith("BATON_QUEUE_LISTEN: ")


def test_the_processs_own_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in published():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BATON_GRACE", "3s")

    assert load(Settings).grace == timedelta(seconds=3)


def test_settings_stay_as_they_are() -> None:
    settings = load(Probe, {})

    with pytest.raises(ValidationError, match="frozen"):
        settings.grace = timedelta()  # type: ignore[misc]


def test_the_data_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    settings = load(Settings, {"BATON_DATA_DIR": str(tmp_path / "a" / "b")})

    settings.make_data_dir()
    settings.make_data_dir()

    assert settings.data_dir.stat().st_mode & 0o777 == 0o700


def test_every_published_name_has_the_prefix() -> None:
    assert all(re.fullmatch(r"BATON_[A-Z_]+", name) for name in published())
