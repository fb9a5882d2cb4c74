"""The nouns of the sign-up: a runner, the place in the race, and the confirmation that is sent about it."""

import unicodedata
from dataclasses import dataclass
from enum import Enum, auto


class Distance(Enum):
    """What a runner runs; the value is its name for people."""

    MARATHON = "Marathon"
    HALF_MARATHON = "Half marathon"
    TEN_KILOMETRES = "10 km"
    FIVE_KILOMETRES = "5 km"


class Mode(Enum):
    """How the confirmation is sent: while the caller waits, meanwhile, or through the broker."""

    SEQUENTIAL = auto()
    BACKGROUND = auto()
    QUEUED = auto()


class State(Enum):
    """Whether the place is taken."""

    REGISTERED = auto()
    CANCELLED = auto()


class ConfirmationState(Enum):
    """Where the confirmation stands: on its way, taken by the mail server, or given up."""

    PENDING = auto()
    SENT = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Runner:
    """Who runs, what, and where letters and emails go."""

    first_name: str
    last_name: str
    email: str
    address: str
    distance: Distance

    @property
    def email_key(self) -> str:
        """The email address as it is compared: letter case, and ways to write the same letters, apart."""
        local, _, domain = unicodedata.normalize("NFC", self.email).lower().rpartition("@")
        try:
            return f"{local}@{domain.encode('idna').decode()}"
        except UnicodeError:  # newer letters than the standard library's IDNA knows stand as they are
            return f"{local}@{domain}"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What became of the confirmation email.

    ``key`` names the email everywhere: to the email service, so that it is sent once, and in the outbox.
    """

    key: str
    mode: Mode
    trace_id: str
    update_time: int
    state: ConfirmationState = ConfirmationState.PENDING
    attempts: int = 0
    last_error: str = ""
    message_id: str = ""
    email_id: str = ""


@dataclass(frozen=True, slots=True)
class Registration:
    """A runner's place in the race."""

    registration_id: str
    runner: Runner
    confirmation: Confirmation
    create_time: int
    update_time: int
    state: State = State.REGISTERED


def registered(registration_id: str, runner: Runner, mode: Mode, trace_id: str, now: int) -> Registration:
    """A new registration, its confirmation still to be sent."""
    key = f"confirmation:{registration_id}"
    return Registration(registration_id, runner, Confirmation(key, mode, trace_id, now), now, now)
