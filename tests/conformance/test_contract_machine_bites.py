"""The machine finds what it is there for: each of these faults, planted alone in a store that keeps the contract."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from queue_service import delivery_state
from queue_service.delivery_state import DeliveryState, Rank, Transition
from queue_service.settlement import Ack, LeaseOutcome, Release, Retry
from queue_service.storage import selection, verbs
from queue_service.storage.base import MessageStore
from queue_service.storage.memory import MemoryStore
from queue_service.storage.memory_queue import MemoryQueue
from tests.support.contract_stores import MemoryMachine

pytestmark = pytest.mark.usefixtures("unlogged")

Settle = Callable[..., Transition]


def a_release_costs_an_attempt(settled: Settle) -> Settle:
    def faulty(state: Any, lease: Any, action: Any, policy: Any, now: int) -> Transition:
        done = settled(state, lease, action, policy, now)
        if done.state is None or not isinstance(action, Release):
            return done
        return done._replace(state=done.state._replace(failed=done.state.failed + 1))

    return faulty


def any_lease_settles(settled: Settle) -> Settle:
    def faulty(state: Any, lease: Any, action: Any, policy: Any, now: int) -> Transition:
        return settled(state, lease if state is None else lease._replace(delivery=state.serial), action, policy, now)

    return faulty


def a_retry_has_no_delay_of_its_own(settled: Settle) -> Settle:
    def faulty(state: Any, lease: Any, action: Any, policy: Any, now: int) -> Transition:
        return settled(state, lease, replace(action, delay=None) if isinstance(action, Retry) else action, policy, now)

    return faulty


def a_late_ack_is_refused(settled: Settle) -> Settle:
    def faulty(state: Any, lease: Any, action: Any, policy: Any, now: int) -> Transition:
        done = settled(state, lease, action, policy, now)
        late = isinstance(action, Ack) and done.outcome is LeaseOutcome.APPLIED_LATE
        return Transition(LeaseOutcome.LEASE_LOST) if late else done

    return faulty


@pytest.mark.parametrize(
    "plant", [a_release_costs_an_attempt, any_lease_settles, a_retry_has_no_delay_of_its_own, a_late_ack_is_refused]
)
def test_a_fault_in_settling_is_found(plant: Callable[[Settle], Settle], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_state, "settled", plant(delivery_state.settled))

    assert found(MemoryStore)


def test_a_lease_that_ran_out_at_no_cost_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_state, "expired", lambda state, _: delivery_state.orphaned(state, state.due_at))

    assert found(MemoryStore)


def test_a_dead_letter_without_its_failures_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = selection.dead_letter
    monkeypatch.setattr(selection, "dead_letter", lambda *given: replace(real(*given), failures=()))

    assert found(MemoryStore)


class TwoOfAKey(MemoryStore):
    def _send(self, verb: verbs.Send) -> tuple[verbs.SendResult, ...]:
        results = super()._send(verb)
        contents = self._contents[verb.queue]
        for state in [state for state in contents.states.values() if state.blocked]:
            contents.put(state._replace(rank=Rank.LINE))
        return results


class PurgesNoLeased(MemoryStore):
    def _purge(self, verb: verbs.Purge) -> verbs.Settled:
        return super()._purge(replace(verb, cancel=True))


class RedrivesCopies(MemoryStore):
    def _redrive(self, verb: verbs.Redrive) -> verbs.Redriven:
        contents = self._of(verb.task.queue)
        before = dict(contents.messages)
        redriven = super()._redrive(verb)
        for message_id in before.keys() - contents.messages.keys():
            contents.store(before[message_id])
        return redriven


class ForgetsDeduplications(MemoryStore):
    def _send(self, verb: verbs.Send) -> tuple[verbs.SendResult, ...]:
        self._of(verb.queue).deduplications.clear()
        return super()._send(verb)


class DeliversEarly(MemoryStore):
    def _lease(self, verb: verbs.Lease) -> verbs.Leased:
        early = super()._lease(replace(verb, now=verb.now + 10_000_000))
        return replace(early, next_at=None)


class LosesASend(MemoryStore):
    def _send(self, verb: verbs.Send) -> tuple[verbs.SendResult, ...]:
        results = super()._send(verb)
        contents = self._contents[verb.queue]
        if len(contents.messages) > 3 and not results[-1].deduplicated and verb.request_id == "":
            contents.remove(results[-1].message_id, verb.now, selection.Effects())
        return results


class ForgetsLeasesOfARestart(MemoryStore):
    def close(self) -> None:
        for contents in self._contents.values():
            _free(contents)


def _free(contents: MemoryQueue) -> None:
    for state in [state for state in contents.states.values() if state.leased]:
        contents.put(_released(state))


def _released(state: DeliveryState) -> DeliveryState:
    return state._replace(rank=Rank.LINE)


@pytest.mark.parametrize(
    "store",
    [
        TwoOfAKey,
        PurgesNoLeased,
        RedrivesCopies,
        ForgetsDeduplications,
        DeliversEarly,
        LosesASend,
        ForgetsLeasesOfARestart,
    ],
)
def test_a_faulty_store_is_found(store: type[MemoryStore]) -> None:
    assert found(store)


def found(store: type[MemoryStore]) -> bool:
    """Whether some lives, always the same, come upon the fault."""

    class Machine(MemoryMachine):
        def make_store(self) -> MessageStore:
            return store()

    lives = settings(
        max_examples=100,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    try:
        run_state_machine_as_test(Machine, settings=lives)
    except AssertionError:
        return True
    return False
