"""The sign-up service's knobs."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mesh.settings import SettingsError, load
from signup_service.race import Race
from signup_service.settings import SignupSettings


def test_the_defaults_find_the_sisters_on_this_machine() -> None:
    settings = load(SignupSettings, {})

    assert settings.listen == ("127.0.0.1:50051",)
    assert settings.broker == "127.0.0.1:50052"
    assert settings.email == "unix:.baton/email.sock"
    assert settings.database == "sqlite:///.baton/signup.db"
    assert (settings.race, settings.race_location) == ("Baton Marathon", "Town Hall Square")
    assert settings.unconfirmed is None


def test_a_sister_is_called_at_her_address_else_where_she_listens() -> None:
    listening = {"BATON_QUEUE_LISTEN": "127.0.0.1:1,127.0.0.1:2", "BATON_EMAIL_LISTEN": "127.0.0.1:3"}
    addressed = {**listening, "BATON_QUEUE_ADDRESS": "broker:4", "BATON_EMAIL_ADDRESS": "unix:/run/email.sock"}

    by_listen, by_address = load(SignupSettings, listening), load(SignupSettings, addressed)

    assert (by_listen.broker, by_listen.email) == ("127.0.0.1:1", "127.0.0.1:3")
    assert (by_address.broker, by_address.email) == ("broker:4", "unix:/run/email.sock")


def test_the_data_folder_holds_database_and_socket() -> None:
    settings = load(SignupSettings, {"BATON_DATA_DIR": "/data"})

    assert settings.data_dir == Path("/data")
    assert (settings.database, settings.email) == ("sqlite:////data/signup.db", "unix:/data/email.sock")


def test_the_start_of_the_race_is_an_instant() -> None:
    settings = load(SignupSettings, {"BATON_SIGNUP_RACE_START": "2027-05-02T09:00:00+02:00"})

    race = Race.at(settings.race, settings.race_start, settings.race_location)

    assert race.start == int(datetime(2027, 5, 2, 7, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BATON_SIGNUP_RACE_START", "2027-05-02T09:00:00"),
        ("BATON_SIGNUP_RACE", "x" * 257),
        ("BATON_SIGNUP_RACE", "   "),
        ("BATON_SIGNUP_RACE_LOCATION", "ü" * 257),
        ("BATON_SIGNUP_LISTEN", "50051"),
        ("BATON_SIGNUP_UNCONFIRMED", "72h"),
    ],
)
def test_a_bad_value_is_reported_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(SignupSettings, {name: value})

    assert refusal.value.problems[0].startswith(f"{name}: ")
