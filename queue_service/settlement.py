"""What a consumer says of a delivery, and what the broker answers."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from queue_service.message import Lease


@dataclass(frozen=True, slots=True)
class Ack:
    """Done: the message goes."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Failed: again after ``delay``, the queue's retry policy when None."""

    delay: int | None = None
    code: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """Not now: again after ``delay``, at no cost."""

    delay: int = 0


@dataclass(frozen=True, slots=True)
class Reject:
    """Never again: to the dead letter queue."""

    code: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Extend:
    """Still at it: the lease ends at ``until`` instead."""

    until: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The consumer's stream broke: a failure like a lease that ran out, so that its last words still count."""

    code: str
    description: str


Action = Ack | Retry | Release | Reject | Extend | Lost


class LeaseOutcome(IntEnum):
    """The contract's outcomes, by its numbers."""

    APPLIED = 1
    APPLIED_LATE = 2
    LEASE_LOST = 3
    MESSAGE_GONE = 4
    UNKNOWN_LEASE = 5


class Settlement(NamedTuple):
    """One action on one lease."""

    lease: Lease
    action: Action
