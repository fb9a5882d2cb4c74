"""Random lives of a whole broker beside the model of the contract, compared after every step.

Hypothesis draws the steps and prints those of a failure, shortened, with a blob for `@reproduce_failure` on the
machine's class; `--hypothesis-seed=<number>` makes two runs draw the same.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from queue_service.redrive import RedriveTask
from queue_service.storage.views import Filter
from tests.support.contract_draws import (
    ACTS,
    CODES,
    FILTERS,
    LONG,
    OPERATIONS,
    PICKS,
    PULLS,
    QUEUES,
    SENDS,
    SETTLEMENTS,
    SHORT,
)
from tests.support.contract_life import ContractLife, accepted, refusal
from tests.support.contract_model import Act, Wanted
from tests.support.contract_model_values import SECOND, Spec


class ContractMachine(ContractLife):
    # What producers and consumers do

    @rule(sends=st.lists(SENDS, min_size=1, max_size=2))
    def send(self, sends: list[Any]) -> None:
        self.take(*(self.sending(*each) for each in sends))

    @rule(send=SENDS, pull=PULLS)
    def send_and_pull(self, send: Any, pull: Any) -> None:
        self.take(self.sending(*send), self.pulling(send[0], *pull[1:]))

    @rule(pulls=st.lists(PULLS, min_size=1, max_size=3))
    def pull(self, pulls: list[Any]) -> None:
        self.take(*(self.pulling(self.waiting_queue(pick), *rest) for pick, *rest in pulls))

    @precondition(lambda self: self.given)
    @rule(settlements=SETTLEMENTS)
    def settle(self, settlements: list[tuple[int, Act]]) -> None:
        self.take(self.settling(settlements))

    @precondition(lambda self: self.live_leases())
    @rule(pick=PICKS, act=ACTS)
    def settle_a_live_one(self, pick: int, act: Act) -> None:
        self.take(self.settling([(pick % 20, act)]))

    @precondition(lambda self: self.given)
    @rule(first=SETTLEMENTS, pull=PULLS, send=SENDS, second=SETTLEMENTS, extended=st.lists(PICKS, max_size=2))
    def do_much_at_once(self, first: Any, pull: Any, send: Any, second: Any, extended: list[int]) -> None:
        pulling = self.pulling(self.waiting_queue(pull[0]), *pull[1:])
        extending = [self.extending(extended, 20 * SECOND)] if extended else []
        self.take(self.settling(first), pulling, self.sending(*send), self.settling(second), *extending)

    @precondition(lambda self: self.given)
    @rule(picks=st.lists(PICKS, min_size=1, max_size=3), seconds=st.sampled_from([0, 5, 60]))
    def extend(self, picks: list[int], seconds: int) -> None:
        self.take(self.extending(picks, seconds * SECOND))

    @rule(queue=QUEUES, key=st.sampled_from(["", "k3"]), pick=PICKS)
    def wait_for_a_message(self, queue: str, key: str, pick: int) -> None:
        """A pull that waits is woken by a send, a release or the end of a pause."""
        where = self.model.queues[queue]
        ready, paused = where.ready(self.model.now), where.paused_until > self.model.now
        if ready and paused:
            waking = self.broker.core.backlog.resume(queue), self.resumed(queue)
        elif ready or paused or where.settings.delivery_delay:
            return
        elif (lease_id := self.to_release(queue, pick)) is not None:
            waking = self.settling_in(queue, [(lease_id, Act("release"))])
        elif len(where.messages) < 20 and (not key or key not in where.turns):
            waking = self.sending(queue, [Spec("awaited", key)], "")
        else:
            return
        waiting = self.pulling(queue, 3, 0, "", wait=20 * SECOND)
        waited, woke = self.broker.ask(waiting[0], waking[0])
        waking[1](woke)
        waiting[1](waited)

    @rule(queue=QUEUES)
    def wait_for_an_instant(self, queue: str) -> None:
        """A pull that waits gets what becomes due meanwhile, no earlier and no later."""
        where, now = self.model.queues[queue], self.model.now
        held = where.messages.values()
        due = min((m.ready[0] for m in held if not m.leased and where.has_turn(m)), default=0)
        ends = [m.lease.until if m.leased and m.lease else m.expires for m in held]
        if where.paused_until > now or not now < due < now + 50 * SECOND or min(ends) <= due:
            return
        call, check = self.pulling(queue, 3, 0, "", wait=50 * SECOND)
        answer = self.broker.ask_and_turn(call, now + 50 * SECOND, due - now)
        self.model.turn(due)
        check(answer)
        self.model.lapse()

    # What operators do

    @precondition(lambda self: self.given)
    @rule(lease=PICKS, wanted=FILTERS, force=st.booleans())
    def purge(self, lease: int, wanted: tuple[frozenset[str], int | None, int | None], force: bool) -> None:
        queue = self.picked(lease)[0]
        codes, pick, ago = wanted
        ids = self.some_ids(queue, pick)
        before = None if ago is None else self.model.now - ago * SECOND
        meant = Filter(codes=codes, message_ids=ids, sent_before=before)
        call = self.broker.core.backlog.purge(queue, meant, force=force)
        self.take((call, lambda count: self.model.purge(queue, codes, ids, before, count, force=force)))

    @precondition(lambda self: self.sent)
    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        queue, message_id = self.known_message(pick)
        call = self.broker.core.backlog.cancel(queue, message_id)
        self.take((call, lambda answer: self.model.cancel(queue, message_id, refusal(answer))))

    @rule(operation=OPERATIONS)
    def operate(self, operation: tuple[Any, ...]) -> None:
        name, *arguments = operation
        getattr(self, name)(*arguments)

    @precondition(lambda self: self.model.queues["dead"].messages or self.model.queues["graveyard"].messages)
    @rule(
        queue=st.sampled_from(["dead", "dead", "graveyard"]),
        destination=st.sampled_from(["", "", "work", "loose"]),
        codes=CODES,
        pick=st.none() | st.none() | PICKS,
        cap=st.sampled_from([0, 0, 1, 2]),
    )
    def redrive(self, queue: str, destination: str, codes: frozenset[str], pick: int | None, cap: int) -> None:
        self.tasks += 1
        ids = self.some_ids(queue, pick)
        task = RedriveTask(f"t{self.tasks}", queue, destination, codes, ids, 0.0, cap, create_time=0)
        self.take((self.broker.redriver.create(task), accepted))
        self.broker.rest()
        done = self.broker.redriver.get(task.redrive_task_id)
        wanted = Wanted(queue, destination, codes, ids, cap)
        left = {each.message_id: each.death.redrives if each.death else 0 for each in self.looked_at(queue)}
        self.model.redrive(wanted, done.state.name, done.moved_count, done.total_count, left)

    # Time, and what it does to the broker

    @rule(seconds=SHORT)
    def let_time_pass(self, seconds: float) -> None:
        self.broker.pass_by(round(seconds * SECOND))
        self.time_passed()

    @rule(seconds=LONG)
    def leap_in_time(self, seconds: int) -> None:
        self.broker.turn(seconds * SECOND)
        self.time_passed()

    @precondition(lambda self: self.given)
    @rule(seconds=LONG, settlements=SETTLEMENTS, extended=st.lists(PICKS, max_size=2), pull=PULLS, first=st.booleans())
    def come_before_the_timers(
        self, seconds: int, settlements: list[tuple[int, Act]], extended: list[int], pull: Any, first: bool
    ) -> None:
        """Calls that find leases over, and messages past their time, of which the broker has not heard."""
        pulling = self.pulling(self.waiting_queue(pull[0]), *pull[1:])
        steps = [self.settling(settlements)] + ([self.extending(extended, 0)] if extended else [])
        self.broker.clock.pass_unnoticed(seconds * SECOND)
        self.model.turn(self.broker.clock.now())
        self.take(*steps, pulling) if first else self.take(pulling, *steps)
        self.model.lapse()
        self.broker.turn(0)

    @rule(away=st.sampled_from([0.001, 10, 100]), drain=st.booleans())
    def restart(self, away: float, drain: bool) -> None:
        self.broker.restart(round(away * SECOND), drain=drain)
        self.time_passed()
