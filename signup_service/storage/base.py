"""What a store of registrations can do. Every verb is one transaction, and none waits for anything but its disk."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from mesh.outbox import OutboxEntry
from signup_service.outcome import Outcome
from signup_service.registration import ConfirmationState, Registration
from signup_service.request import Request

EntryOf = Callable[[Registration], OutboxEntry]


class RegistrationStore(Protocol):
    """Registrations and the outbox beside them.

    Every verb may raise ResourceExhausted (STORAGE_FULL) or Unavailable (STORAGE_UNAVAILABLE); nothing is changed then.
    """

    def register(self, registration: Registration, request: Request | None, entry: OutboxEntry | None) -> Registration:
        """Store a registration with its outbox entry, or find the one that the same request made before.

        Raises:
            RegistrationExists: its email address has a live registration, letter case apart.
            RequestIdReused: the request id asked for something else before.
        """

    def find(self, registration_id: str) -> Registration:
        """The registration as it stands; raises RegistrationNotFound."""

    def page(self, after: str, limit: int, state: ConfirmationState | None) -> Sequence[Registration]:
        """The oldest registrations behind an id, all or those whose confirmation is in ``state``."""

    def note_outcome(self, registration_id: str, outcome: Outcome, now: int) -> Registration:
        """Let news of the email change the confirmation by the rule of `outcome`; raises RegistrationNotFound."""

    def queue_interrupted(self, entry_of: EntryOf, now: int) -> int:
        """Put every pending confirmation that was to be sent directly into the outbox; how many there were."""

    def pending(self, now: int, limit: int) -> Sequence[OutboxEntry]:
        """The oldest outbox entries that are neither sent nor postponed beyond ``now``."""

    def next_pending_at(self) -> int | None:
        """The instant at which the next outbox entry may be sent; None when none is left."""

    def mark_sent(self, message_ids: Mapping[str, str], now: int) -> None:
        """Note, by entry id, the message ids that the broker gave, and drop the entries."""

    def postpone(self, entry_id: str, until: int, error: str) -> None:
        """Try an outbox entry again no earlier than ``until``."""
