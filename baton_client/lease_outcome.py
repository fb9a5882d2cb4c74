"""What the broker answers to a settlement."""

from enum import IntEnum


class LeaseOutcome(IntEnum):
    """The contract's outcomes, by its numbers.

    Attributes:
        APPLIED: done as told.
        APPLIED_LATE: done as told, though the lease had ended: nobody else had the message.
        LEASE_LOST: the message was retried, released or leased again since: the work may be done twice.
        MESSAGE_GONE: acked, dead-lettered, expired or purged already: nothing will be done twice.
        UNKNOWN_LEASE: of another queue, or made up.
    """

    APPLIED = 1
    APPLIED_LATE = 2
    LEASE_LOST = 3
    MESSAGE_GONE = 4
    UNKNOWN_LEASE = 5
