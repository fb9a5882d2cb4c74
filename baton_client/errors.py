"""What can go wrong between a program and the broker.

BatonClientError
|-- CallError    the broker refused a call, or could not be reached; says why, and which fields are at fault
|-- BodyError    a body cannot be sent, or is not what its handler takes
`-- Closed       the client is closing: nothing more is taken in
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


class BatonClientError(Exception):
    """Everything that this package raises."""


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field: its path, such as ``messages[3].delay``, and a sentence with limit and value."""

    field: str
    description: str


#: Codes that say that the call itself is at fault: the same call again will do no better.
LASTING = frozenset(
    {
        *("INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "UNAUTHENTICATED"),
        *("FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED", "DATA_LOSS"),
    }
)


class CallError(BatonClientError):
    """A call that did not succeed.

    Attributes:
        code: the gRPC code's name, such as ``NOT_FOUND``.
        reason: the broker's own name for it, such as ``QUEUE_NOT_FOUND``; empty when the broker did not answer itself.
        message: a sentence.
        metadata: the values behind the sentence.
        violations: for INVALID_ARGUMENT, every field that is wrong.
        retry_delay: when the broker says when to come back.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: tuple[Violation, ...] = (),
        retry_delay: timedelta | None = None,
    ) -> None:
        said = "; ".join(f"{found.field}: {found.description}" for found in violations) or message
        super().__init__(f"{code}{f' ({reason})' if reason else ''}: {said}")
        self.code, self.message, self.reason = code, message, reason
        self.metadata: Mapping[str, str] = metadata or {}
        self.violations, self.retry_delay = violations, retry_delay

    @property
    def passing(self) -> bool:
        """Whether the same call may well succeed later, as it is."""
        if self.code == "RESOURCE_EXHAUSTED":
            return self.retry_delay is not None
        return self.code not in LASTING

    def faults(self, field: str) -> dict[int, tuple[Violation, ...]]:
        """What is wrong with each item of a repeated field, by its place; empty when anything else is wrong, too."""
        faults: dict[int, tuple[Violation, ...]] = {}
        for violation in self.violations:
            if (found := re.fullmatch(rf"(?:.*\.)?{field}\[(\d+)\]\.?(.*)", violation.field)) is None:
                return {}
            place = int(found[1])
            faults[place] = *faults.get(place, ()), Violation(found[2] or field, violation.description)
        return faults


class BodyError(BatonClientError):
    """A body of a kind or shape that cannot be sent, or that a handler does not take."""


class Closed(BatonClientError):
    """The client is closing, or closed."""
