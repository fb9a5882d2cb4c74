from datetime import timedelta
from pathlib import Path

import pytest

from email_service.settings import EmailSettings
from email_service.smtp_url import SmtpServer, parse_smtp_url
from mesh.settings import SettingsError, load


def test_everything_has_a_default_in_the_data_folder() -> None:
    settings = load(EmailSettings, {"BATON_DATA_DIR": "/srv/baton"})

    assert settings.listen == ("unix:/srv/baton/email.sock",)
    assert settings.database_url == "sqlite:////srv/baton/email.db"
    assert settings.outbox == Path("/srv/baton/outbox")
    assert settings.smtp is None
    assert settings.smtp_timeout == timedelta(seconds=20)
    assert (settings.smtp_connections, settings.smtp_letters) == (5, 100)
    assert (settings.smtp_tls, settings.smtp_rate) == ("offered", None)
    assert settings.broker == "127.0.0.1:50052"


def test_the_brokers_address_goes_before_where_it_listens() -> None:
    listen = {"BATON_QUEUE_LISTEN": "127.0.0.1:1, unix:/run/queue.sock"}

    assert load(EmailSettings, listen).broker == "127.0.0.1:1"
    assert load(EmailSettings, {**listen, "BATON_QUEUE_ADDRESS": "queue.example:2"}).broker == "queue.example:2"


def test_all_problems_are_named_at_once_and_no_password() -> None:
    environment = {
        "BATON_EMAIL_SMTP_URL": "http://user:secret@host",
        "BATON_EMAIL_FROM": "nobody",
        "BATON_EMAIL_SMTP_TIMEOUT": "0s",
        "BATON_EMAIL_SMTP_TLS": "never",
        "BATON_EMAIL_SMTP_CONNECTIONS": "0",
        "BATON_EMAIL_SMTP_LETTERS": "many",
        "BATON_EMAIL_SMTP_RATE": "nan",
        "BATON_EMAIL_LISTEN": "nowhere",
    }

    with pytest.raises(SettingsError) as caught:
        load(EmailSettings, environment)

    problems = caught.value.problems
    assert {problem.split(":")[0] for problem in problems} == set(environment)
    assert not any("secret" in problem for problem in problems)


def test_a_data_folder_too_deep_for_a_socket_is_named() -> None:
    with pytest.raises(SettingsError, match="shorten BATON_DATA_DIR or set BATON_EMAIL_LISTEN"):
        load(EmailSettings, {"BATON_DATA_DIR": "/" + "d" * 120})


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example", SmtpServer("mail.example", 25)),
        ("smtps://mail.example/", SmtpServer("mail.example", 465, tls=True)),
        ("smtp://me:p%40ss@[::1]:2525", SmtpServer("::1", 2525, username="me", password="p@ss")),
    ],
)
def test_smtp_urls_are_read(url: str, server: SmtpServer) -> None:
    assert parse_smtp_url(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "mail.example:25",
        "smtp://",
        "smtp://:25",
        "smtp://user@host",
        "smtp://host:0",
        "smtp://host:99999",
        "smtp://host/path",
        "smtp://host?x=1",
        "smtp://[::1",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be smtp://user:password@host:port"):
        parse_smtp_url(url)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *((host, True) for host in ("localhost", "127.0.0.1", "127.9.9.9", "[::1]")),
        *((host, False) for host in ("0.0.0.0", "10.0.0.1", "mail.example", "localhost.example")),
    ],
)
def test_this_machine_is_known_by_its_names(host: str, loopback: bool) -> None:
    assert parse_smtp_url(f"smtp://{host}").is_loopback is loopback


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(parse_smtp_url("smtp://user:secret@host"))
