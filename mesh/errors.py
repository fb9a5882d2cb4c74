"""What can go wrong, as the caller is told it.

    BatonError
    |-- InvalidArgument      the request breaks field rules; lists every violation
    |-- NotFound             the named resource is not there
    |-- AlreadyExists        a resource or an id is taken
    |-- FailedPrecondition   right request, wrong state of the system
    |-- Aborted              lost a race; may be tried again from the start
    |-- ResourceExhausted    a limit is reached; may be tried again later
    |-- Unavailable          cannot serve now; may be tried again later
    `-- NotBuilt             promised by the contract, not built yet

An error carries its data as attributes; `mesh.status` turns it into a gRPC status, and nothing else does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that breaks its rule: its path, and a sentence with the limit and the value."""

    field: str
    description: str


class BatonError(Exception):
    """Base of every error a caller may see.

    Args:
        reason: the ErrorInfo reason, UPPER_SNAKE_CASE, stable for programs.
        message: one sentence for a person.
        metadata: the sentence's variable parts, again, for programs.
    """

    code = "INTERNAL"

    def __init__(self, reason: str, message: str, *, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})


class InvalidArgument(BatonError):
    """The request breaks field rules."""

    code = "INVALID_ARGUMENT"

    def __init__(self, violations: Sequence[Violation]) -> None:
        first, more = violations[0], len(violations) - 1
        super().__init__(
            "FIELD_INVALID",
            f"{first.field}: {first.description}" + (f" (and {more} more)" if more else ""),
        )
        self.violations = tuple(violations)


class _ResourceError(BatonError):
    def __init__(self, reason: str, message: str, *, resource_type: str, resource_name: str) -> None:
        super().__init__(reason, message, metadata={resource_type: resource_name})
        self.resource_type = resource_type
        self.resource_name = resource_name


class NotFound(_ResourceError):
    """The named resource is not there."""

    code = "NOT_FOUND"


class AlreadyExists(_ResourceError):
    """A resource of that name, or another use of that id, is there already."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(BatonError):
    """The request is fine; the state of its subject forbids it."""

    code = "FAILED_PRECONDITION"

    def __init__(self, reason: str, message: str, *, subject: str) -> None:
        super().__init__(reason, message, metadata={"subject": subject})
        self.subject = subject


class _RetryableError(BatonError):
    def __init__(
        self,
        reason: str,
        message: str,
        *,
        retry_delay: timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, message, metadata=metadata)
        self.retry_delay = retry_delay


class Aborted(_RetryableError):
    """Somebody else changed or is changing the same thing."""

    code = "ABORTED"


class ResourceExhausted(_RetryableError):
    """A limit of the system is reached."""

    code = "RESOURCE_EXHAUSTED"


class Unavailable(_RetryableError):
    """The service, or what it stands on, cannot serve at the moment."""

    code = "UNAVAILABLE"


class NotBuilt(BatonError):
    """The contract promises it; this release does not have it."""

    code = "UNIMPLEMENTED"

    def __init__(self, what: str) -> None:
        super().__init__("NOT_BUILT", f"{what} is not built yet")
