"""The life of a message in its queue, as pure functions: every store calls these and keeps what they return.

    READY -- lease --> LEASED -- ack ----------------------> gone
      ^                  |---- release ---------------------> READY
      |                  |---- retry, expiry, lost ---------> READY after a delay, or dead after the last attempt
      '------------------'---- reject ----------------------> dead

A message that waits for its time is READY with ``due_at`` ahead: delayed. ``lapsed`` remembers that the last lease ran
out, or was lost with its stream, instead of being settled, so a late settlement of it can still count while nobody else
has had the message.

Of the messages of one ordering key only the oldest is in this picture: the others are BLOCKED until it is gone or dead,
so a retry holds up its key and nothing else.
"""

from enum import IntEnum
from typing import NamedTuple

from queue_service.message import AttemptFailure, DeadLetterReason, Lease
from queue_service.queue_definition import RetryPolicy
from queue_service.retry_policy import is_final, retry_delay, spread_of
from queue_service.settlement import Ack, Action, Extend, LeaseOutcome, Lost, Reject, Release, Retry

LEASE_EXPIRED = "LEASE_EXPIRED"
# The contract keeps the last ten failures, codes of 64 bytes and descriptions of 2 KiB, and cuts what is longer.
MAX_FAILURES = 10
MAX_CODE_BYTES = 64
MAX_INSTANCE_BYTES = 128
MAX_DESCRIPTION_BYTES = 2048


class Rank(IntEnum):
    """Which of a queue's three rows a message stands in; the numbers are stored."""

    LINE = 0
    BLOCKED = 1
    LEASED = 2


class DeliveryState(NamedTuple):
    """What changes about a message: narrow, so that a change never rewrites the body.

    ``serial`` counts the leases of the message's whole life, dead letter queues included: no lease id fits twice.
    ``wire`` is what a delivery takes at most. ``code`` is that of the newest failure, here or, of a dead letter, in the
    queue it came from.
    """

    message_id: str
    due_at: int
    expire_time: int
    size: int
    wire: int
    serial: int = 0
    ordering_key: str = ""
    rank: Rank = Rank.LINE
    lapsed: bool = False
    attached: bool = False
    failed: int = 0
    deliveries: int = 0
    consumer_instance: str = ""
    request_id: str = ""
    failures: tuple[AttemptFailure, ...] = ()
    code: str = ""

    @property
    def leased(self) -> bool:
        """Whether a consumer has it."""
        return self.rank is Rank.LEASED

    @property
    def blocked(self) -> bool:
        """Whether an older message of its ordering key comes first."""
        return self.rank is Rank.BLOCKED


class Transition(NamedTuple):
    """What a settlement or an expiry does: a new state, or gone, or dead with the state it died in; else nothing.

    ``total`` names the count that rises with it.
    """

    outcome: LeaseOutcome
    state: DeliveryState | None = None
    gone: bool = False
    dead: DeadLetterReason | None = None
    total: str = ""


_ACKED, _ACKED_LATE = (
    Transition(outcome, gone=True, total="acked") for outcome in (LeaseOutcome.APPLIED, LeaseOutcome.APPLIED_LATE)
)


def leased(
    state: DeliveryState, until: int, consumer_instance: str, request_id: str, *, attached: bool = False
) -> DeliveryState:
    """The state after a delivery."""
    return state._replace(
        due_at=until,
        rank=Rank.LEASED,
        lapsed=False,
        attached=attached,
        deliveries=state.deliveries + 1,
        serial=state.serial + 1,
        consumer_instance=consumer_instance,
        request_id=request_id,
    )


def unblocked(state: DeliveryState, now: int) -> DeliveryState:
    """The state of the next message of an ordering key when the one before it is gone."""
    return state._replace(rank=Rank.LINE, due_at=max(state.due_at, now))


def expired(state: DeliveryState, policy: RetryPolicy) -> Transition:
    """A lease that ran out: a failure at the instant it ended, whenever that is noticed."""
    return _failed(state, policy, state.due_at, Retry(code=LEASE_EXPIRED), LeaseOutcome.APPLIED, lapsed=True)


def orphaned(state: DeliveryState, now: int) -> Transition:
    """A lease whose holder died with the broker's last run: no fault of the message's."""
    return Transition(LeaseOutcome.APPLIED, state._replace(rank=Rank.LINE, due_at=now), total="released")


def settled(state: DeliveryState | None, lease: Lease, action: Action, policy: RetryPolicy, now: int) -> Transition:
    """A settlement: the first one on a lease counts, late ones only while nobody else has had the message."""
    if state is None:
        return Transition(LeaseOutcome.MESSAGE_GONE)
    if lease.delivery != state.serial or not (state.leased or state.lapsed):
        return Transition(LeaseOutcome.LEASE_LOST)
    late = state.lapsed or now >= state.due_at
    if isinstance(action, Lost):
        return _lost(state, policy, action, now)
    if isinstance(action, Extend):
        return _extended(state, action, late=late)
    outcome = LeaseOutcome.APPLIED_LATE if late else LeaseOutcome.APPLIED
    if isinstance(action, Ack):
        return _ACKED_LATE if late else _ACKED
    if isinstance(action, Reject):
        failure = _failure(state, now, action.code, action.description, counted=state.lapsed)
        return Transition(outcome, _with_failure(state, failure, counted=state.lapsed), dead=DeadLetterReason.REJECTED)
    if state.lapsed:
        return Transition(outcome, _rescheduled(state, action, now))
    if isinstance(action, Retry):
        return _failed(state, policy, now, action, outcome)
    if late:
        ended = Retry(delay=action.delay, code=LEASE_EXPIRED)
        return _failed(state, policy, now, ended, outcome)
    released = state._replace(rank=Rank.LINE, due_at=now + action.delay)
    return Transition(outcome, released, total="released")


def _lost(state: DeliveryState, policy: RetryPolicy, action: Lost, now: int) -> Transition:
    if state.lapsed:  # the failure is on record
        return Transition(LeaseOutcome.LEASE_LOST)
    failure = Retry(code=action.code, description=action.description)
    return _failed(state, policy, now, failure, LeaseOutcome.APPLIED, lapsed=True)


def _extended(state: DeliveryState, action: Extend, *, late: bool) -> Transition:
    if late:  # an ended lease is never revived
        return Transition(LeaseOutcome.LEASE_LOST)
    return Transition(LeaseOutcome.APPLIED, state._replace(due_at=action.until))


def _rescheduled(state: DeliveryState, action: Retry | Release, now: int) -> DeliveryState:
    """The failure is on record since the lease ran out; what is left of the settlement is its delay."""
    due_at = state.due_at if action.delay is None else now + action.delay
    return state._replace(lapsed=False, due_at=due_at)


def _failed(
    state: DeliveryState, policy: RetryPolicy, now: int, retry: Retry, outcome: LeaseOutcome, *, lapsed: bool = False
) -> Transition:
    after = _with_failure(state, _failure(state, now, retry.code, retry.description, counted=False), counted=False)
    if is_final(policy, after.failed):
        return Transition(outcome, after, dead=DeadLetterReason.MAX_RETRIES)
    delay = retry.delay
    if delay is None:
        delay = retry_delay(policy, after.failed, spread_of(state.message_id, after.failed))
    again = after._replace(rank=Rank.LINE, lapsed=lapsed, due_at=now + delay)
    return Transition(outcome, again, total="retried")


def _failure(state: DeliveryState, now: int, code: str, description: str, *, counted: bool) -> AttemptFailure:
    return AttemptFailure(
        attempt=state.failed if counted else state.failed + 1,
        failure_time=now,
        consumer_instance=_cut(state.consumer_instance, MAX_INSTANCE_BYTES),
        code=_cut(code, MAX_CODE_BYTES),
        description=_cut(description, MAX_DESCRIPTION_BYTES),
    )


def _with_failure(state: DeliveryState, failure: AttemptFailure, *, counted: bool) -> DeliveryState:
    failures = (failure, *state.failures)[:MAX_FAILURES]
    return state._replace(failed=state.failed + (not counted), failures=failures, code=failure.code)


def _cut(text: str, limit: int) -> str:
    return text.encode()[:limit].decode(errors="ignore")
