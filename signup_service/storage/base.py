"""What a store of registrations can do. Every verb is one transaction, and none waits for anything but its disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mesh.outbox_entry import HandedOver, OutboxEntry
from signup_service.errors import RegistrationNotFound
from signup_service.outcome import News
from signup_service.registration import Cause, Notice, NoticeState, Registration
from signup_service.request import Request

#: One of a registration's emails as a message for the broker.
EntryOf = Callable[[Registration, Notice], OutboxEntry]


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A registration whose runner no confirmation has reached, and since when one is waited for."""

    registration_id: str
    since: int


class RegistrationStore(Protocol):
    """Registrations, their emails, and what of these has to go to the outbox in the same transaction.

    Every verb may raise ResourceExhausted (STORAGE_FULL) or Unavailable (STORAGE_UNAVAILABLE); nothing is changed then.
    """

    def register(self, registration: Registration, request: Request | None) -> Registration:
        """Store a registration, or find the one that the same request made before; QUEUED goes to the outbox.

        Raises:
            RegistrationExists: its email address has a live registration, letter case apart.
            RequestIdReused: the request id asked for something else before.
        """

    def find(self, registration_id: str) -> Registration:
        """The registration as it stands; raises RegistrationNotFound."""

    def page(self, after: str, limit: int, state: NoticeState | None) -> Sequence[Registration]:
        """The oldest registrations behind an id, all or those whose newest confirmation is in ``state``."""

    def newest_id(self) -> str:
        """The greatest registration id; empty when there is none."""

    def note_outcomes(self, news: Sequence[News], now: int) -> Sequence[Registration | RegistrationNotFound]:
        """Let news change what is known of emails, by the table of `saga`; for each the registration, if there is one.

        Once an email is decided, what waits in the outbox behind it may go.
        """

    def note_handed_over(self, results: Mapping[str, HandedOver], now: int) -> Sequence[Registration]:
        """Note what became of outbox entries, and drop them; the registrations that this changed."""

    def resend(self, registration_id: str, request: Request | None, trace_id: str, now: int) -> Registration:
        """Put a new confirmation into the outbox, behind the withdrawal of one that is still on its way.

        The registration as it stands when the same request did so before.

        Raises:
            RegistrationNotFound: no registration has that id.
            RegistrationCancelled: there is nothing to confirm any more.
            RequestIdReused: the request id asked for something else before.
        """

    def cancel(self, registration_id: str, cause: Cause, reason: str, now: int) -> Registration:
        """Take the place back: a confirmation on its way is withdrawn, then the runner is told, all by the outbox.

        A cancelled registration is left as it is. Raises RegistrationNotFound.
        """

    def unconfirmed(self, limit: int) -> Sequence[Unconfirmed]:
        """Those that have waited longest, first."""

    def take_over(self, now: int) -> int:
        """Put into the outbox every pending confirmation that an earlier run was to send directly; how many.

        One that nobody waits for any more is withdrawn instead.
        """
