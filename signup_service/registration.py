"""The nouns of the sign-up: a runner, the place in the race, and the emails that are sent about it."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto

from mesh.email_address import mailbox

#: How long a confirmation that is sent directly may take, all tries together.
DIRECT_LIMIT = timedelta(seconds=30)


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


class NoticeState(Enum):
    """Where an email to the runner stands: on its way, taken by the mail server, given up, or taken back unsent."""

    PENDING = auto()
    SENT = auto()
    FAILED = auto()
    WITHDRAWN = auto()


class Cause(Enum):
    """What took the place back: somebody asked for it, or no confirmation got through for too long."""

    REQUESTED = auto()
    UNCONFIRMED = auto()


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
        return mailbox(self.email)


@dataclass(frozen=True, slots=True)
class Notice:
    """One email that a runner is owed, and what became of it.

    ``key`` names the email everywhere: to the email service, so that it is sent once, and in the outbox.
    """

    key: str
    mode: Mode
    trace_id: str
    create_time: int
    update_time: int
    state: NoticeState = NoticeState.PENDING
    attempts: int = 0
    last_error: str = ""
    message_id: str = ""
    email_id: str = ""

    @property
    def outgoing(self) -> bool:
        """Whether it still has to be handed to the broker."""
        return self.mode is Mode.QUEUED and self.state is NoticeState.PENDING and not self.message_id


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Why and when the place was taken back, and the email that tells the runner."""

    cause: Cause
    reason: str
    cancel_time: int
    notice: Notice


@dataclass(frozen=True, slots=True)
class Registration:
    """A runner's place in the race.

    ``confirmation`` is the newest one. ``unconfirmed_since`` is when the wait for it began, None once any confirmation
    got through or the place was taken back.
    """

    registration_id: str
    runner: Runner
    confirmation: Notice
    create_time: int
    update_time: int
    unconfirmed_since: int | None = None
    cancellation: Cancellation | None = None

    @property
    def state(self) -> State:
        """Whether the place is taken."""
        return State.REGISTERED if self.cancellation is None else State.CANCELLED

    @property
    def outgoing(self) -> bool:
        """Whether one of its emails still has to be handed to the broker."""
        owed = [self.confirmation] if self.cancellation is None else [self.confirmation, self.cancellation.notice]
        return any(notice.outgoing for notice in owed)

    @property
    def final(self) -> bool:
        """Whether nothing more is to be expected, unless somebody asks for it."""
        return self.cancellation is not None or self.confirmation.state is not NoticeState.PENDING

    def showing(self, notice: Notice) -> "Registration":
        """With one of its emails as that now stands; the very same object when it is none of those shown here."""
        if notice.key == self.confirmation.key:
            return replace(self, confirmation=notice, update_time=notice.update_time)
        if self.cancellation is None or notice.key != self.cancellation.notice.key:
            return self
        cancellation = replace(self.cancellation, notice=notice)
        return replace(self, cancellation=cancellation, update_time=notice.update_time)


def registered(registration_id: str, runner: Runner, mode: Mode, trace_id: str, now: int) -> Registration:
    """A new registration, its confirmation still to be sent."""
    confirmation = Notice(f"confirmation:{registration_id}", mode, trace_id, now, now)
    return Registration(registration_id, runner, confirmation, now, now, unconfirmed_since=now)
