"""One email: the draft as its caller gave it, and the record of what became of it.

(new key) -> SENDING -> SENT
                |  `--> FAILED
                `-----> SENDING, attempts + 1, when a try failed for the time being
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from email_service.content import Content
from email_service.failure import Failure


class State(Enum):
    """Where an email stands; the contract's words."""

    SENDING = "SENDING"
    SENT = "SENT"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Draft:
    """An email as its caller wants it; ``digest`` stands for all of it but the key and the trace."""

    idempotency_key: str
    to: str
    content: Content
    digest: str
    report_queue: str = ""
    correlation_id: str = ""
    trace: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Email:
    """An email as it is stored; ``reason`` and ``last_error`` are those of the last try that failed."""

    email_id: str
    draft: Draft
    subject: str
    created_at: int
    state: State = State.SENDING
    attempts: int = 1
    reason: str = ""
    last_error: str = ""
    sent_at: int | None = None

    def sent(self, now: int) -> "Email":
        """The mail server took it."""
        return replace(self, state=State.SENT, sent_at=now)

    def held_back(self) -> "Email":
        """It was claimed for a try that was not made."""
        return replace(self, attempts=self.attempts - 1)

    def failed(self, failure: Failure) -> "Email":
        """A try failed: the end of it when the failure is permanent."""
        state = State.FAILED if failure.permanent else State.SENDING
        return replace(self, state=state, reason=failure.reason, last_error=failure.description)
