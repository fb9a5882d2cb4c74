"""What an email says: the four contents of the contract, under the names of their fields there."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class RegistrationConfirmation:
    """Tells a runner that the registration is stored."""

    kind: ClassVar[str] = "registration_confirmation"

    first_name: str
    race: str
    distance: str
    registration_id: str
    start_time: int | None = None
    location: str = ""

    @property
    def subject(self) -> str:
        """The subject line, before it is made fit for a header."""
        return f"You are registered: {self.race}, {self.distance}"


@dataclass(frozen=True, slots=True)
class RegistrationCancellation:
    """Tells a runner that the registration is cancelled."""

    kind: ClassVar[str] = "registration_cancellation"

    first_name: str
    race: str
    registration_id: str
    reason: str = ""
    distance: str = ""
    start_time: int | None = None

    @property
    def subject(self) -> str:
        """The subject line, before it is made fit for a header."""
        return f"Your registration is cancelled: {self.race}"


@dataclass(frozen=True, slots=True)
class Newsletter:
    """A newsletter for one reader."""

    kind: ClassVar[str] = "newsletter"

    headline: str
    body: str
    unsubscribe_url: str
    first_name: str = ""

    @property
    def subject(self) -> str:
        """The subject line, before it is made fit for a header."""
        return self.headline


@dataclass(frozen=True, slots=True)
class Plain:
    """A subject and a text as given."""

    kind: ClassVar[str] = "plain"

    subject: str
    body: str


Content = RegistrationConfirmation | RegistrationCancellation | Newsletter | Plain

CONTENTS: dict[str, type[Content]] = {
    content.kind: content for content in (RegistrationConfirmation, RegistrationCancellation, Newsletter, Plain)
}
