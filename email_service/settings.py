"""The knobs of the email service."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from email_service.letter import parse_sender
from email_service.smtp_url import SmtpServer, Tls, parse_smtp_url
from mesh.address import check_address
from mesh.database import sqlite_url
from mesh.settings import Addresses, Duration, Settings, Target

# With a longer wait a caller's lease would run out before the mail server's silence is noticed.
_LONGEST_SMTP_TIMEOUT = timedelta(minutes=10)
# Below it a letter's turn would be further away than the longest delay that callers are told.
_LEAST_RATE = 0.01


def _server(value: Any) -> Any:
    return parse_smtp_url(value) if isinstance(value, str) else value


def _sender(value: str) -> str:
    parse_sender(value)
    return value


def _socket_in(data_dir: Path) -> str:
    try:
        return check_address(f"unix:{data_dir}/email.sock")
    except ValueError as error:
        raise ValueError(f"{error}; shorten BATON_DATA_DIR or set BATON_EMAIL_LISTEN") from error


class EmailSettings(Settings):
    """Where the service listens, what it stores where, and how mail leaves."""

    listen: Addresses = Field(default=(), alias="BATON_EMAIL_LISTEN", validate_default=True)
    """gRPC addresses; a unix socket in the data folder, because only other services call it."""
    database_url: str = Field(default="", alias="BATON_EMAIL_DATABASE_URL", validate_default=True)
    """SQLAlchemy URL of keys and outcomes; a SQLite file in the data folder."""
    smtp: Annotated[SmtpServer, BeforeValidator(_server)] | None = Field(default=None, alias="BATON_EMAIL_SMTP_URL")
    """The mail server; unset, each mail becomes a file in the outbox."""
    smtp_timeout: Duration = Field(
        default=timedelta(seconds=20), alias="BATON_EMAIL_SMTP_TIMEOUT", gt=timedelta(), le=_LONGEST_SMTP_TIMEOUT
    )
    """The longest wait for one answer of the mail server; twice that after the end of a letter."""
    smtp_tls: Tls = Field(default="offered", alias="BATON_EMAIL_SMTP_TLS")
    """``offered`` takes STARTTLS from a server that has it; ``required`` sends nothing to one that has not."""
    # How many connections, and letters on each, are nodemailer's defaults, which mail servers everywhere see much of.
    smtp_connections: int = Field(default=5, alias="BATON_EMAIL_SMTP_CONNECTIONS", ge=1, le=100)
    """The most connections to the mail server."""
    smtp_letters: int = Field(default=100, alias="BATON_EMAIL_SMTP_LETTERS", ge=1)
    """The most letters that one connection carries before it is opened anew."""
    smtp_rate: float | None = Field(
        default=None, alias="BATON_EMAIL_SMTP_RATE", ge=_LEAST_RATE, le=100_000, allow_inf_nan=False
    )
    """The most letters a second; unset, as many as there are."""
    outbox: Path = Field(default=Path(), alias="BATON_EMAIL_OUTBOX", validate_default=True)
    """Folder of the ``.eml`` files; ``outbox`` in the data folder."""
    sender: Annotated[str, AfterValidator(_sender)] = Field(
        default="Baton Marathon <marathon@localhost.localdomain>", alias="BATON_EMAIL_FROM"
    )
    """The From of every mail, and, its address alone, the sender in the SMTP envelope."""
    queue_address: Target | None = Field(default=None, alias="BATON_QUEUE_ADDRESS")
    """Where reports are handed to the broker; the first of its listening addresses."""
    queue_listen: Addresses = Field(default=("127.0.0.1:50052",), alias="BATON_QUEUE_LISTEN")
    """The broker's own setting, read for its address only."""

    @field_validator("listen", mode="before")
    @classmethod
    def _socket_in_data_dir(cls, value: Any, info: ValidationInfo) -> Any:
        return value or (_socket_in(info.data["data_dir"]),)

    @field_validator("database_url", mode="before")
    @classmethod
    def _file_in_data_dir(cls, value: Any, info: ValidationInfo) -> Any:
        return value or sqlite_url(info.data["data_dir"] / "email.db")

    @field_validator("outbox", mode="before")
    @classmethod
    def _folder_in_data_dir(cls, value: Any, info: ValidationInfo) -> Any:
        return info.data["data_dir"] / "outbox" if value == Path() else value

    @property
    def broker(self) -> str:
        """The address at which the broker is called."""
        return self.queue_address or self.queue_listen[0]
