"""The life of a message, where the stores' suite does not reach: pure functions at their edges."""

import pytest

from mesh.clock import SECOND
from queue_service import delivery_state
from queue_service.delivery_state import DeliveryState
from queue_service.message import DeadLetterReason, Lease
from queue_service.queue_definition import RetryPolicy
from queue_service.settlement import Ack, Action, Extend, LeaseOutcome, Lost, Reject, Release, Retry

POLICY = RetryPolicy(max_retries=1, initial_delay=10 * SECOND, jitter=0.0)
ID = "01a20a69-f94f-7000-90bd-ab83a55ae53a"
READY = DeliveryState(ID, due_at=0, expire_time=1000 * SECOND, size=1, wire=1)
LEASED = delivery_state.leased(READY, 30 * SECOND, "c", "")
LEASE = Lease(ID, 1)


@pytest.mark.parametrize("action", [Ack(), Retry(), Release(), Reject(), Extend(99)])
def test_a_lease_that_was_never_given_is_lost(action: Action) -> None:
    for state in (READY, LEASED):
        transition = delivery_state.settled(state, Lease(ID, 5), action, POLICY, 0)

        assert transition.outcome is LeaseOutcome.LEASE_LOST
        assert transition.state is None


@pytest.mark.parametrize("action", [Ack(), Retry(), Release(), Reject(), Extend(99)])
def test_a_message_that_is_not_there_is_gone(action: Action) -> None:
    assert delivery_state.settled(None, LEASE, action, POLICY, 0).outcome is LeaseOutcome.MESSAGE_GONE


def test_a_lease_lives_until_the_instant_of_its_end() -> None:
    live = delivery_state.settled(LEASED, LEASE, Ack(), POLICY, 30 * SECOND - 1)
    late = delivery_state.settled(LEASED, LEASE, Ack(), POLICY, 30 * SECOND)

    assert (live.outcome, late.outcome) == (LeaseOutcome.APPLIED, LeaseOutcome.APPLIED_LATE)


def test_an_expiry_counts_from_the_leases_end_whenever_it_is_noticed() -> None:
    transition = delivery_state.expired(LEASED, POLICY)

    assert transition.state is not None
    assert transition.state.due_at == 40 * SECOND
    assert transition.state.failures[0].failure_time == 30 * SECOND
    assert transition.state.failures[0].code == "LEASE_EXPIRED"


def test_the_last_expiry_is_final() -> None:
    transition = delivery_state.expired(LEASED._replace(failed=1), POLICY)

    assert transition.dead is DeadLetterReason.MAX_RETRIES


def test_a_late_reject_is_told_without_counting_twice() -> None:
    lapsed = delivery_state.expired(LEASED, POLICY).state

    transition = delivery_state.settled(lapsed, LEASE, Reject("BAD"), POLICY, 50 * SECOND)

    assert transition.outcome is LeaseOutcome.APPLIED_LATE
    assert transition.dead is DeadLetterReason.REJECTED
    assert transition.state is not None
    assert transition.state.failed == 1
    assert [failure.code for failure in transition.state.failures] == ["BAD", "LEASE_EXPIRED"]


def test_a_release_after_the_end_is_a_failure_and_keeps_its_delay() -> None:
    transition = delivery_state.settled(LEASED, LEASE, Release(delay=5 * SECOND), POLICY, 31 * SECOND)

    assert transition.state is not None
    assert (transition.state.failed, transition.state.due_at) == (1, 36 * SECOND)


def test_settled_once_late_it_is_lost_the_second_time() -> None:
    lapsed = delivery_state.expired(LEASED, POLICY).state
    released = delivery_state.settled(lapsed, LEASE, Release(), POLICY, 50 * SECOND).state

    assert delivery_state.settled(released, LEASE, Ack(), POLICY, 51 * SECOND).outcome is LeaseOutcome.LEASE_LOST


def test_what_was_lost_with_its_stream_failed_once_and_may_still_be_acked() -> None:
    lost = delivery_state.settled(LEASED, LEASE, Lost("STREAM_LOST", "the stream broke"), POLICY, 5 * SECOND)

    assert (lost.total, lost.dead) == ("retried", None)
    assert lost.state is not None
    assert [failure.code for failure in lost.state.failures] == ["STREAM_LOST"]
    again = delivery_state.settled(lost.state, LEASE, Lost("STREAM_LOST", ""), POLICY, 6 * SECOND)
    assert (again.outcome, again.state) == (LeaseOutcome.LEASE_LOST, None)
    late = delivery_state.settled(lost.state, LEASE, Ack(), POLICY, 6 * SECOND)
    assert (late.outcome, late.gone) == (LeaseOutcome.APPLIED_LATE, True)
