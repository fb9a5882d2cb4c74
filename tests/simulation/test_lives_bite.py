"""The lives find what they are there for: each of these faults, planted alone, is seen within a few seeds."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest

from queue_service import delivery_state
from queue_service.broker import Broker
from queue_service.ready_signal import ReadySignal, Waiter
from queue_service.redriver import Redriver
from queue_service.settlement import Ack, Extend, LeaseOutcome
from queue_service.storage import selection
from queue_service.storage.memory import MemoryStore
from queue_service.storage.memory_queue import MemoryQueue
from queue_service.storage.verbs import Send, SendResult, Settle, Settled
from tests.support.simulation.life import live
from tests.support.simulation.writer import SimulatedWriter

#: Seeds within which each fault must be found.
ENOUGH = 100

Patch = pytest.MonkeyPatch


def acks_are_answered_before_they_are_stored(patch: Patch) -> None:
    def answer(verb: Any) -> Settled | None:
        if isinstance(verb, Settle) and all(isinstance(each.action, Ack) for each in verb.settlements):
            return Settled(tuple(LeaseOutcome.APPLIED for _ in verb.settlements))
        return None

    _answered_at_once(patch, answer)


def sends_are_answered_before_they_are_stored(patch: Patch) -> None:
    def answer(verb: Any) -> tuple[SendResult, ...] | None:
        if not isinstance(verb, Send):
            return None
        return tuple(SendResult(message.message_id, deduplicated=False) for message in verb.messages)

    _answered_at_once(patch, answer)


def any_lease_settles(patch: Patch) -> None:
    settled = delivery_state.settled

    def unfenced(state: Any, lease: Any, *rest: Any) -> Any:
        return settled(state, lease if state is None else lease._replace(delivery=state.serial), *rest)

    patch.setattr(delivery_state, "settled", unfenced)


def a_delay_ends_early(patch: Patch) -> None:
    new_state = selection.new_state

    def hasty(message: Any, serial: int = 0) -> Any:
        state = new_state(message, serial)
        return state._replace(due_at=max(message.send_time, state.due_at - 200_000))

    patch.setattr(selection, "new_state", hasty)


def a_retry_comes_back_early(patch: Patch) -> None:
    failed = delivery_state._failed

    def hasty(state: Any, policy: Any, now: int, *rest: Any, **options: Any) -> Any:
        done = failed(state, policy, now, *rest, **options)
        if done.dead is not None or done.state is None:
            return done
        return done._replace(state=done.state._replace(due_at=now + (done.state.due_at - now) // 2))

    patch.setattr(delivery_state, "_failed", hasty)


def a_dead_letter_is_deleted_first_and_inserted_later(patch: Patch) -> None:
    start, apply, store = Broker.start, MemoryStore.apply, MemoryQueue.store
    later: list[Callable[[], None]] = []

    def store_later(self: MemoryQueue, message: Any, serial: int = 0) -> None:
        if message.dead_letter is None:
            store(self, message, serial)
        else:
            later.append(lambda: store(self, message, serial))

    def apply_with_the_rest(self: MemoryStore, batch: Any) -> list[Any]:
        while later:
            later.pop()()
        return apply(self, batch)

    async def start_without_it(self: Broker) -> None:
        later.clear()
        await start(self)

    patch.setattr(MemoryQueue, "store", store_later)
    patch.setattr(MemoryStore, "apply", apply_with_the_rest)
    patch.setattr(Broker, "start", start_without_it)


def the_window_is_a_microsecond_short(patch: Patch) -> None:
    send = MemoryStore._send

    def send_with_less(self: MemoryStore, verb: Any) -> Any:
        results = send(self, verb)
        kept = self._of(verb.queue).deduplications
        for message in verb.messages:
            if (known := kept.get(message.deduplication_id)) is not None and known[1] == message.message_id:
                kept[message.deduplication_id] = (known[0] - 1, *known[1:])
        return results

    patch.setattr(MemoryStore, "_send", send_with_less)


def repeats_are_forgotten_at_a_restart(patch: Patch) -> None:
    start = Broker.start

    async def start_anew(self: Broker) -> None:
        for contents in self._writer._store._store._contents.values():  # type: ignore[attr-defined]
            contents.requests.clear()
            contents.deduplications.clear()
        await start(self)

    patch.setattr(Broker, "start", start_anew)


def a_restart_takes_leases_from_those_who_pulled(patch: Patch) -> None:
    leased = delivery_state.leased

    def attached(*arguments: Any, **_: Any) -> Any:
        return leased(*arguments, attached=True)

    patch.setattr(delivery_state, "leased", attached)


def an_extension_is_answered_and_not_stored(patch: Patch) -> None:
    settled = delivery_state.settled

    def forgetful(state: Any, lease: Any, action: Any, *rest: Any) -> Any:
        done = settled(state, lease, action, *rest)
        return done._replace(state=state) if isinstance(action, Extend) and done.state is not None else done

    patch.setattr(delivery_state, "settled", forgetful)


def some_leases_are_given_out_and_forgotten(patch: Patch) -> None:
    lease, turns = MemoryStore._lease, count()

    def forgetful(self: MemoryStore, verb: Any) -> Any:
        leased = lease(self, verb)
        if next(turns) % 10 == 0:
            contents = self._of(verb.queue)
            for delivery in leased.deliveries:
                state = contents.states[delivery.message.message_id]
                contents.put(state._replace(rank=delivery_state.Rank.LINE, due_at=verb.now))
        return leased

    patch.setattr(MemoryStore, "_lease", forgetful)


def expired_messages_are_delivered(patch: Patch) -> None:
    def ready(self: MemoryQueue, now: int) -> list[Any]:
        return [self.states[message_id] for due_at, message_id in self.line if due_at <= now]

    patch.setattr(MemoryQueue, "ready", ready)


def a_younger_message_overtakes_its_key(patch: Patch) -> None:
    patch.setattr(selection, "blocked", lambda state: state)


def a_settlement_wakes_nobody(patch: Patch) -> None:
    def follow_up(self: Broker, queue_name: str, settled: Settled) -> None:
        return

    patch.setattr(Broker, "follow_up", follow_up)


def a_waiter_stays_in_the_line(patch: Patch) -> None:
    @contextmanager
    def waiter(self: ReadySignal) -> Iterator[Waiter]:
        waiter = Waiter(self, self._clock)
        self.line_up(waiter)
        try:
            yield waiter
        finally:
            if waiter.woken:
                self._wake(1)

    patch.setattr(ReadySignal, "waiter", waiter)


def a_cancel_that_fails_leaves_a_redrive_running_for_ever(patch: Patch) -> None:
    async def cancel(self: Redriver, key: str) -> None:
        await self._halt(key)
        await self._step(replace(self.get(key), state=self.get(key).state.CANCELLED), 0)

    patch.setattr(Redriver, "_cancel", cancel)


def late_acks_are_not_counted(patch: Patch) -> None:
    settled = delivery_state.settled

    def uncounted(*arguments: Any) -> Any:
        done = settled(*arguments)
        return done._replace(total="") if done.gone and done.outcome is LeaseOutcome.APPLIED_LATE else done

    patch.setattr(delivery_state, "settled", uncounted)


@dataclass(frozen=True)
class Fault:
    """What is planted, a word of what is said when it is seen, and the seed that it was found with."""

    plant: Callable[[Patch], None]
    seen: str
    first: int = 0


FAULTS = [
    Fault(acks_are_answered_before_they_are_stored, "revived", 5),
    Fault(sends_are_answered_before_they_are_stored, "lost"),
    Fault(any_lease_settles, "unfenced", 49),
    Fault(a_delay_ends_early, "early"),
    Fault(a_retry_comes_back_early, "early", 7),
    Fault(a_dead_letter_is_deleted_first_and_inserted_later, "lost", 67),
    Fault(the_window_is_a_microsecond_short, "stored_twice"),
    Fault(repeats_are_forgotten_at_a_restart, "stored_twice", 1),
    Fault(a_restart_takes_leases_from_those_who_pulled, "overlapping", 6),
    Fault(an_extension_is_answered_and_not_stored, "overlapping"),
    Fault(some_leases_are_given_out_and_forgotten, "overlapping"),
    Fault(expired_messages_are_delivered, "after its end", 4),
    Fault(a_younger_message_overtakes_its_key, "out_of_order", 1),
    Fault(a_settlement_wakes_nobody, "nobody tells", 1),
    Fault(a_waiter_stays_in_the_line, "waiters left"),
    Fault(a_cancel_that_fails_leaves_a_redrive_running_for_ever, "without an end", 30),
    Fault(late_acks_are_not_counted, "not what went"),
]

pytestmark = pytest.mark.usefixtures("unlogged")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.plant.__name__)
def test_a_planted_fault_is_found(
    fault: Fault, monkeypatch: Patch, record_property: Callable[[str, object], None]
) -> None:
    fault.plant(monkeypatch)

    seeds = range(fault.first, fault.first + ENOUGH)
    found = next((seed for seed in seeds if any(fault.seen in said for said in live(seed).broken)), None)

    assert found is not None, f"not found within {ENOUGH} seeds"
    if found != fault.first:
        record_property("found with another seed", found)


def _answered_at_once(patch: Patch, answer: Callable[[Any], Any]) -> None:
    submit = SimulatedWriter.submit

    def hasty(self: SimulatedWriter, verb: Any, follow_up: Any = None) -> "asyncio.Future[Any]":
        stored, said = submit(self, verb, follow_up), answer(verb)
        if said is None or stored.done():
            return stored
        stored.add_done_callback(lambda done: done.cancelled() or done.exception())
        answered = asyncio.get_running_loop().create_future()
        answered.set_result(said)
        return answered

    patch.setattr(SimulatedWriter, "submit", hasty)
