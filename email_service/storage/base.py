"""What the service needs of a store. Plain synchronous calls, made by one thread; each is one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from email_service.email_record import Draft, Email
from mesh.outbox_entry import OutboxEntry


@dataclass(frozen=True, slots=True)
class Page:
    """Some emails, newest first; ``position`` is where the next page starts, empty on the last one."""

    emails: Sequence[Email]
    position: str = ""


class EmailStore(Protocol):
    """Emails by id and by idempotency key; reports of them go to an outbox in the same database."""

    def claim(self, draft: Draft, email_id: str, subject: str, now: int) -> Email:
        """Claim a draft's key for a try at sending it.

        A new key is stored, SENDING, as ``email_id``. A key that is SENDING counts one attempt more. A key whose
        email is SENT or FAILED comes back as it is: there is nothing to send.

        Raises:
            IdempotencyKeyReused: the key stands for other content.
        """

    def conclude(self, email: Email, reports: Sequence[OutboxEntry], now: int) -> None:
        """Store a final outcome, and the reports of it, in one transaction."""

    def note_failure(self, email: Email) -> None:
        """Store what a try said that failed for the time being, or that there was no try."""

    def find(self, email_id: str) -> Email | None:
        """The email of an id, if there is one."""

    def page(self, position: str, limit: int, max_bytes: int, to: str) -> Page:
        """Emails, newest first, after a position; at least one if there is any, then no more than fit the limits.

        Args:
            position: of the page before, empty for the first.
            limit: the most emails.
            max_bytes: the most bytes they may have on the wire.
            to: only emails to this address, letter case apart; empty for all.
        """

    def close(self) -> None:
        """Release everything; safe twice."""
