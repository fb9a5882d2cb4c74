"""Every knob of the broker."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ByteSize, Field

from mesh.database import sqlite_url
from mesh.settings import Addresses, Settings, Target


class QueueSettings(Settings):
    """The broker's settings; the names are in the contracts' ``settings.toml``."""

    listen: Addresses = Field(default=("127.0.0.1:50052",), alias="BATON_QUEUE_LISTEN")
    """Where the broker listens."""
    database_url: str = Field(default="", alias="BATON_QUEUE_DATABASE_URL")
    """SQLAlchemy URL; unset: the SQLite file ``queue.db`` in the data folder."""
    config: Path = Field(default=Path(__file__).with_name("queues.toml"), alias="BATON_QUEUE_CONFIG")
    """The file that declares queues."""
    disk_reserve: ByteSize = Field(default=ByteSize(64 * 1024 * 1024), alias="BATON_QUEUE_DISK_RESERVE")
    """Bytes of the disk that sends leave free, so that acks still work; twice a write-ahead log under heavy load."""
    email_listen: Addresses | None = Field(default=None, alias="BATON_EMAIL_LISTEN")
    """Where the email service listens; unset: its socket in the data folder."""
    email_address: Target | None = Field(default=None, alias="BATON_EMAIL_ADDRESS")
    """Where a push to ``email`` goes; unset: the first of ``email_listen``."""
    signup_listen: Addresses = Field(default=("127.0.0.1:50051",), alias="BATON_SIGNUP_LISTEN")
    """Where the sign-up service listens."""
    signup_address: Target | None = Field(default=None, alias="BATON_SIGNUP_ADDRESS")
    """Where a push to ``signup`` goes; unset: the first of ``signup_listen``."""

    @property
    def store_url(self) -> str:
        """The database's URL."""
        return self.database_url or sqlite_url(self.data_dir / "queue.db")

    @property
    def services(self) -> Mapping[str, str]:
        """The addresses behind the names that a declared queue may push to."""
        email = self.email_listen or (f"unix:{self.data_dir}/email.sock",)
        return {"email": self.email_address or email[0], "signup": self.signup_address or self.signup_listen[0]}
