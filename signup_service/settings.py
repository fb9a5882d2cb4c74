"""Every knob of the sign-up service: its variable, its default, what it is for."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from mesh.database import sqlite_url
from mesh.settings import Addresses, Settings, Target
from signup_service.unconfirmed import parse_unconfirmed

# What the email contract lets a confirmation say; a longer one would fail every single email.
_MAX_RACE_BYTES = 256
_MAX_LOCATION_BYTES = 512


def _race(text: str) -> str:
    return _bounded(text, _MAX_RACE_BYTES)


def _location(text: str) -> str:
    return _bounded(text, _MAX_LOCATION_BYTES)


def _unconfirmed(value: Any) -> Any:
    return parse_unconfirmed(value) if isinstance(value, str) else value


def _bounded(text: str, limit: int) -> str:
    if not text.strip() or len(text.encode()) > limit:
        raise ValueError(f"must have 1 to {limit} bytes, not only blanks; has {len(text.encode())}")
    return text.strip()


class SignupSettings(Settings):
    """The sign-up service's own knobs, and where it finds the other two."""

    listen: Addresses = Field(default=("127.0.0.1:50051",), alias="BATON_SIGNUP_LISTEN")
    """Where it answers."""
    database_url: str | None = Field(default=None, alias="BATON_SIGNUP_DATABASE_URL")
    """SQLAlchemy URL of the registrations; unset: ``signup.db`` in the data folder."""
    race: Annotated[str, AfterValidator(_race)] = Field(default="Baton Marathon", alias="BATON_SIGNUP_RACE")
    """The race's name, as the confirmation says it."""
    race_start: AwareDatetime = Field(
        default=datetime.fromisoformat("2027-05-02T09:00:00+02:00"), alias="BATON_SIGNUP_RACE_START"
    )
    """When the race starts, for the runner's calendar; with its offset from UTC."""
    race_location: Annotated[str, AfterValidator(_location)] = Field(
        default="Town Hall Square", alias="BATON_SIGNUP_RACE_LOCATION"
    )
    """Where the race starts."""
    unconfirmed: Annotated[timedelta | None, BeforeValidator(_unconfirmed)] = Field(
        default=None, alias="BATON_SIGNUP_UNCONFIRMED"
    )
    """After how long a place is taken back whose runner no confirmation has reached; None: never."""
    queue_address: Target | None = Field(default=None, alias="BATON_QUEUE_ADDRESS")
    """Where callers reach the broker."""
    queue_listen: Addresses = Field(default=("127.0.0.1:50052",), alias="BATON_QUEUE_LISTEN")
    """Where the broker listens; its first address is called unless ``queue_address`` is set."""
    email_address: Target | None = Field(default=None, alias="BATON_EMAIL_ADDRESS")
    """Where callers reach the email service."""
    email_listen: Addresses | None = Field(default=None, alias="BATON_EMAIL_LISTEN")
    """Where the email service listens; unset: ``email.sock`` in the data folder."""

    @property
    def database(self) -> str:
        """The URL of the database in use."""
        return self.database_url or sqlite_url(self.data_dir / "signup.db")

    @property
    def broker(self) -> str:
        """The gRPC target of the broker."""
        return self.queue_address or self.queue_listen[0]

    @property
    def email(self) -> str:
        """The gRPC target of the email service."""
        listen = self.email_listen or (f"unix:{self.data_dir / 'email.sock'}",)
        return self.email_address or listen[0]
