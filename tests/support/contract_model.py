"""A model of the contract: what the broker may answer and must hold, said without a line of the broker's.

It is told what was asked and what the broker answered, and fails where the contract does not allow that answer. Where
the contract leaves something open (when an expiry is noticed, how much longer a window lasts, which messages a capped
redrive moves) it takes over what the broker did, within those bounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from tests.support.contract_model_queue import FOREVER, ModelQueue, Repeat
from tests.support.contract_model_sends import Answer, allowed_answers, begins_at, fits
from tests.support.contract_model_values import (
    EXPIRY_LIBERTY,
    KEPT_FAILURES,
    LEASE_EXPIRED,
    WINDOW_LIBERTY,
    Death,
    Failure,
    Given,
    Held,
    Hold,
    Settings,
    Span,
    Spec,
)


class Act(NamedTuple):
    """A settlement: ack, retry, release or reject."""

    kind: str
    delay: int | None = None
    code: str = ""
    description: str = ""


class Wanted(NamedTuple):
    """A redrive as it is asked for."""

    queue: str
    destination: str = ""
    codes: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    cap: int = 0


class ContractModel:
    def __init__(self, now: int) -> None:
        self.now = self.since = now
        self.queues: dict[str, ModelQueue] = {}
        self.leases: dict[str, tuple[ModelQueue, str]] = {}
        self._sends = 0

    def create(self, name: str, settings: Settings) -> None:
        self.queues[name] = ModelQueue(name, settings)

    def turn(self, now: int) -> None:
        """Time passed; what it ended is noticed by `lapse`."""
        self.since, self.now = self.now, now

    def lapse(self) -> None:
        """Every lease that ran out is a failure at the instant at which it did."""
        for queue in self.queues.values():
            ended = [m for m in queue.messages.values() if m.lease and m.leased and m.lease.until <= self.now]
            for message in sorted(ended, key=lambda m: m.lease.until if m.lease else 0):
                end = message.lease.until if message.lease else 0
                self._fail(queue, message, (end, end), ((LEASE_EXPIRED, ""),), None, over=True)

    # Sends

    def send(self, name: str, specs: Sequence[Spec], request_id: str, answer: Answer) -> None:
        """One send; its answer is that of the strict windows, or of windows that last up to a minute longer."""
        queue = self.queues[name]
        allowed = [allowed_answers(queue, specs, request_id, self.now, self.now - more) for more in (0, WINDOW_LIBERTY)]
        for answers, stored in allowed:
            if any(fits(answer, expected) for expected in answers):
                if stored and not isinstance(answer, str):
                    self._store(queue, specs, request_id, answer)
                return
        raise AssertionError(f"a send to {name} answered {answer}; allowed: {[answers for answers, _ in allowed]}")

    def _store(self, queue: ModelQueue, specs: Sequence[Spec], request_id: str, answer: list[tuple[str, bool]]) -> None:
        until = self.now + queue.settings.window
        for spec, (message_id, deduplicated) in zip(specs, answer, strict=True):
            if deduplicated:
                queue.totals["deduplicated"] += 1
                continue
            assert not any(message_id in other.messages for other in self.queues.values()), "an id was given twice"
            queue.totals["sent"] += 1
            begins = begins_at(queue, spec, self.now)
            kept = queue.settings.retention if spec.ttl is None else spec.ttl
            expires = begins + kept if spec.expire_time is None else spec.expire_time
            self._sends += 1
            deliver_time = begins if begins > self.now else None
            ready = (begins, begins)
            queue.add(Held(message_id, self._sends, spec, (self.now, self.now), deliver_time, kept, ready, expires))
            if spec.deduplication_id:
                queue.deduplications[spec.deduplication_id] = Repeat(until, [(message_id, False)], spec.text)
        if request_id:
            queue.requests[request_id] = Repeat(until, answer)

    # Deliveries

    def pull(
        self, name: str, limit: int, visibility: int, instance: str, request_id: str, given: Sequence[Given]
    ) -> None:
        """One pull: the live leases of its request id, else what is ready, in order."""
        queue = self.queues[name]
        repeated = {
            message.lease.lease_id: message
            for message in queue.messages.values()
            if request_id and message.lease and self._live(message) and message.lease.request_id == request_id
        }
        if repeated:
            assert sorted(repeated) == sorted(each.lease_id for each in given), "a repeat gets the first call's leases"
            for each in given:
                assert each == self._given(queue, repeated[each.lease_id])
            return
        expected = [] if queue.paused_until > self.now else queue.ready(self.now)[: limit or queue.settings.batch]
        assert [each.message_id for each in given] == [message.message_id for message in expected]
        until = self.now + (visibility or queue.settings.visibility)
        for each, message in zip(given, expected, strict=True):
            assert each.lease_id not in self.leases, "a lease id was given twice"
            assert not self._live(message), "two live leases on one message"
            message.lease = Hold(each.lease_id, until, instance, request_id)
            message.deliveries += 1
            queue.totals["delivered"] += 1
            self.leases[each.lease_id] = queue, message.message_id
            assert each == self._given(queue, message)

    def _live(self, message: Held) -> bool:
        return message.lease is not None and not message.lease.over and message.lease.until > self.now

    def _given(self, queue: ModelQueue, message: Held) -> Given:
        assert message.lease is not None
        return Given(
            lease_id=message.lease.lease_id,
            message_id=message.message_id,
            attempt=message.failed + 1,
            deliveries=message.deliveries,
            last=message.failed + 1 > queue.settings.max_retries,
            lease_end=message.lease.until,
            text=message.spec.text,
        )

    # Settlements

    def settle(self, name: str, lease_id: str, act: Act, outcome: str) -> None:
        """One settlement: the first on a lease decides, a late one while nobody else has had the message."""
        queue = self.queues[name]
        assert outcome in self._outcomes(queue, lease_id), f"{outcome}, not {self._outcomes(queue, lease_id)}"
        if not outcome.startswith("APPLIED"):
            return
        message = queue.messages[self.leases[lease_id][1]]
        hold = message.lease
        assert hold is not None
        message.back = self.now, self.now
        unnoticed = not hold.over and hold.until <= self.now
        if act.kind == "ack":
            queue.totals["acked"] += 1
            queue.remove([message.message_id], (self.now, self.now))
        elif act.kind == "reject":
            self._note_failure(message, (self.now, self.now), ((act.code, act.description),), counted=hold.over)
            self._give_up(queue, message, "REJECTED", (self.now, self.now))
        elif hold.over:
            message.lease = None
            wait = (act.delay or 0) if act.kind == "release" else act.delay
            message.ready = message.ready if wait is None else (self.now + wait, self.now + wait)
        elif act.kind == "retry":
            said = ((act.code, act.description), (LEASE_EXPIRED, ""))
            when = (hold.until if unnoticed else self.now, self.now)
            self._fail(queue, message, when, said if unnoticed else said[:1], act.delay)
        elif unnoticed:
            self._fail(queue, message, (hold.until, self.now), ((LEASE_EXPIRED, ""),), act.delay or 0)
        else:
            queue.totals["released"] += 1
            message.lease = None
            message.ready = (self.now + (act.delay or 0),) * 2

    def extend(self, name: str, lease_id: str, visibility: int, outcome: str) -> None:
        """One extension: of a live lease only."""
        queue = self.queues[name]
        allowed = {"LEASE_LOST" if each == "APPLIED_LATE" else each for each in self._outcomes(queue, lease_id)}
        assert outcome in allowed, f"an extension answered {outcome}, not {allowed}"
        if outcome == "APPLIED":
            hold = queue.messages[self.leases[lease_id][1]].lease
            assert hold is not None
            hold.until = self.now + (visibility or queue.settings.visibility)

    def _outcomes(self, queue: ModelQueue, lease_id: str) -> set[str]:
        where, message_id = self.leases.get(lease_id, (None, ""))
        if where is not queue:
            return {"UNKNOWN_LEASE"}
        message = queue.messages.get(message_id)
        if message is None:
            return {"MESSAGE_GONE"}
        if message.lease is None or message.lease.lease_id != lease_id:
            return {"LEASE_LOST"}
        return {"APPLIED"} if self._live(message) else {"APPLIED_LATE"}

    # Failures and ends

    def _note_failure(
        self, message: Held, when: Span, said: tuple[tuple[str, str], ...], *, counted: bool = False
    ) -> None:
        message.failed += not counted
        instance = message.lease.instance if message.lease else ""
        message.failures.insert(0, Failure(message.failed, when, instance, said))
        del message.failures[KEPT_FAILURES:]

    def _fail(
        self,
        queue: ModelQueue,
        message: Held,
        when: Span,
        said: tuple[tuple[str, str], ...],
        delay: int | None,
        *,
        over: bool = False,
    ) -> None:
        """A failed attempt: another one after its delay, or the end after the last one."""
        self._note_failure(message, when, said)
        message.back = (when[0] if over else self.now), self.now
        if message.failed > queue.settings.max_retries:
            self._give_up(queue, message, "MAX_RETRIES", (when[0] if over else self.now, self.now))
            return
        queue.totals["retried"] += 1
        if message.lease is not None:
            message.lease = replace(message.lease, over=True) if over else None
        wait = queue.settings.wait(message.failed)
        message.ready = (self.now + delay,) * 2 if delay is not None else (when[0] + wait, when[1] + wait)

    def _give_up(self, queue: ModelQueue, message: Held, reason: str, when: Span) -> None:
        """To the dead letter queue, or dropped where there is none."""
        queue.remove([message.message_id], when)
        name = queue.settings.dead_letters
        queue.totals["dead_lettered" if name else "dropped"] += 1
        queue.totals["expired"] += reason == "EXPIRED"
        if not name:
            return
        destination = self.queues[name]
        redrives = message.death.redrives if message.death else 0
        story = Death(reason, queue.name, message.failed, message.sent[0], when, tuple(message.failures), redrives)
        spec = message.spec._replace(deduplication_id="")
        kept = destination.settings.retention
        destination.add(Held(message.message_id, message.order, spec, when, None, kept, when, death=story))
        if when[0] < when[1] or self.since < self.now:
            destination.open_turns.add(spec.key)

    def expire(self, name: str, present: set[str]) -> None:
        """What its time is over for may go at once, and must be gone a minute later; only the broker knows when."""
        queue = self.queues[name]
        over = [m for m in queue.messages.values() if not m.leased and m.expires <= self.now]
        for message in sorted(over, key=lambda m: (m.expires, m.order)):
            if message.message_id not in present:
                earliest = max(message.expires, message.back[0], self.since)
                self._give_up(queue, message, "EXPIRED", (earliest, self.now))
            else:
                latest = max(message.expires, message.back[1]) + EXPIRY_LIBERTY
                assert self.now <= latest, f"kept for more than a minute after its expire_time: {message} at {self.now}"

    # Operators

    def purge(
        self, name: str, codes: frozenset[str], ids: frozenset[str], before: int | None, count: int, *, force: bool
    ) -> None:
        """Leased and delayed messages too, at once; without force they are only counted."""
        queue = self.queues[name]
        meant = [m.message_id for m in queue.chosen(codes, ids, *(() if before is None else (before,)))]
        assert count == len(meant)
        if force:
            queue.totals["purged"] += len(queue.remove(meant, (self.now, self.now)))

    def cancel(self, name: str, message_id: str, refusal: str) -> None:
        """Before it is delivered, or not at all."""
        queue = self.queues[name]
        message = queue.messages.get(message_id)
        if message is None:
            assert refusal == "MESSAGE_NOT_FOUND"
        elif message.leased:
            assert refusal == "MESSAGE_LEASED"
        else:
            assert refusal == ""
            queue.remove([message_id], (self.now, self.now))
            queue.totals["cancelled"] += 1

    def redrive(self, wanted: Wanted, state: str, moved_count: int, total_count: int, left: Mapping[str, int]) -> None:
        """Moves, never copies: those with a queue to go to, of which a cap leaves the broker free to choose.

        ``left`` are the redrives of each message that is still, or again, in the queue.
        """
        queue = self.queues[wanted.queue]
        meant = list(queue.chosen(wanted.codes, wanted.ids))
        free = [message for message in meant if not message.leased]
        homes = {message.message_id: wanted.destination or self._home(message) for message in free}
        cap = wanted.cap or len(meant)
        moved = [m for m in free if left.get(m.message_id, FOREVER) > (m.death.redrives if m.death else 0)]
        assert len(moved) == moved_count <= cap
        assert min(cap, len(free)) <= total_count <= min(cap, len(meant))
        assert all(homes[message.message_id] in self.queues for message in moved)
        if len(moved) < min(cap, len(free)):
            assert state == "FAILED"
            assert any(homes[message.message_id] not in self.queues for message in free)
        else:
            assert state == "SUCCEEDED"
        for message in sorted(moved, key=lambda m: m.order):
            queue.remove([message.message_id], (self.now, self.now))
            self._send_back(message, self.queues[homes[message.message_id]])
        queue.totals["redriven"] += len(moved)

    def _home(self, message: Held) -> str:
        return message.death.source if message.death else ""

    def _send_back(self, message: Held, home: ModelQueue) -> None:
        """Its times begin anew, but for one that was never to be delivered yet: a redrive makes nothing early."""
        later = message.deliver_time if message.deliver_time and message.deliver_time > self.now else None
        begins = later or self.now
        expires = begins + home.settings.retention
        now, ready = (self.now, self.now), (begins, begins)
        again = Held(message.message_id, message.order, message.spec, now, later, 0, ready, expires)
        if message.death is not None:
            again.death = replace(message.death, redrives=message.death.redrives + 1)
        home.add(again)
