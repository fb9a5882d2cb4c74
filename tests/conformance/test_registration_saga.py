"""Random lives of registrations on a real store: no step that the saga's table does not have, no email out of order.

A broker is played that has what was handed to it and not yet settled. It may answer late, settle in any order, and lose
the answer to a hand-over, as a crash does.
"""

from collections import defaultdict

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from mesh.database import Database
from mesh.outbox_entry import HandedOver, HandOver, OutboxEntry
from signup_service.errors import RegistrationCancelled, RegistrationExists
from signup_service.outcome import FAILED, PENDING, SENT, WITHDRAWN, News, Outcome
from signup_service.registration import Cause, Mode, NoticeState, Registration, State
from signup_service.saga import TRANSITIONS, Event, Stage, stage_of
from signup_service.storage import schema
from signup_service.storage.sql import SqlRegistrationStore
from tests.support.fake_clock import START
from tests.unit.signup_service.example import registration
from tests.unit.signup_service.fake_entry import entry

EVENTS = {PENDING: Event.TRIED, SENT: Event.SENT, FAILED: Event.FAILED, WITHDRAWN: Event.WITHDRAWN}
# Hundredths of the examples that the profile allows.
PERCENT = 30


class Lives(RuleBasedStateMachine):
    """Registrations, their outbox, and a broker."""

    registrations = Bundle[str]("registrations")

    def __init__(self) -> None:
        super().__init__()
        self.database = Database("sqlite://", schema.SCHEMA)
        self.store = SqlRegistrationStore(self.database.engine, entry)
        self.now, self.number = START, 0
        self.keys: dict[str, list[str]] = {}
        self.broker: dict[str, OutboxEntry] = {}
        self.mailed: defaultdict[str, list[str]] = defaultdict(list)

    def teardown(self) -> None:
        self.database.close()

    @rule(target=registrations, person=st.integers(1, 3), mode=st.sampled_from(Mode))
    def register(self, person: int, mode: Mode) -> str | MultipleResults[str]:
        self.number += 1
        new = registration(self.number, f"runner{person}@example.org", mode=mode, now=self.later())
        try:
            self.store.register(new, None)
        except RegistrationExists:
            return multiple()
        self.keys[new.registration_id] = [new.confirmation.key]
        return new.registration_id

    @rule(registration_id=registrations)
    def resend(self, registration_id: str) -> None:
        before = self.store.find(registration_id)
        try:
            after = self.store.resend(registration_id, None, "f" * 32, self.later())
        except RegistrationCancelled:
            assert Event.RESEND not in TRANSITIONS[stage_of(before)]
            return
        self.keys[registration_id].append(after.confirmation.key)
        self.stepped(before, Event.RESEND, after)

    @rule(registration_id=registrations, cause=st.sampled_from(Cause))
    def cancel(self, registration_id: str, cause: Cause) -> None:
        before = self.store.find(registration_id)
        after = self.store.cancel(registration_id, cause, "", self.later())
        if cause is Cause.REQUESTED or before.unconfirmed_since is not None:
            self.stepped(before, Event.CANCEL, after)
        else:
            assert after == before

    @rule(
        registration_id=registrations, age=st.sampled_from([0, 0, 1, 2]), state=st.sampled_from([PENDING, SENT, FAILED])
    )
    def hear(self, registration_id: str, age: int, state: NoticeState) -> None:
        """News at any time, true or not, of the newest confirmation or an earlier one."""
        keys = self.keys[registration_id]
        key = keys[max(0, len(keys) - 1 - age)]
        before = self.store.find(registration_id)
        news = News(registration_id, key, Outcome(state))
        (after,) = self.store.note_outcomes([news], self.later())
        assert isinstance(after, Registration)
        assert after == self.store.find(registration_id)
        if key == before.confirmation.key:
            self.stepped(before, EVENTS[state], after)
        else:
            assert stage_of(after) == stage_of(before)

    @rule(count=st.integers(1, 5), answered=st.booleans())
    def relay(self, count: int, answered: bool) -> None:
        """Hand over what is first in line, in order; without an answer the same comes again."""
        blocked, taken = set[str](), set[str]()
        results: dict[str, HandedOver] = {}
        for each in self.pending()[:count]:
            if each.order_key in blocked:
                continue
            if not each.withdraw:
                self.broker[each.entry_id] = each
                results[each.entry_id] = HandedOver(HandOver.SENT, f"m-{each.entry_id}")
            elif self.broker.pop(each.entry_id, None) is None and self.mailed_already(each):
                results[each.entry_id] = HandedOver(HandOver.GONE, "")
            else:
                results[each.entry_id] = HandedOver(HandOver.WITHDRAWN, "")
            taken.add(each.order_key)
            if not answered:
                blocked.add(each.order_key)
        if not answered:
            return
        before = {key: self.store.find(key) for key in taken}
        self.store.note_handed_over(results, self.later())
        for earlier in before.values():
            result = results.get(earlier.confirmation.key)
            if result is not None and result.what is HandOver.WITHDRAWN:
                self.stepped(earlier, Event.WITHDRAWN, self.store.find(earlier.registration_id))

    @rule(data=st.data())
    def mail(self, data: st.DataObject) -> None:
        """The broker delivers something, the email service sends it, and says so."""
        if not self.broker:
            return
        key = data.draw(st.sampled_from(sorted(self.broker)))
        each = self.broker.pop(key)
        self.mailed[each.order_key].append(key)
        before = self.store.find(each.order_key)
        (after,) = self.store.note_outcomes([News(each.order_key, key, Outcome(SENT))], self.later())
        assert isinstance(after, Registration)
        if key == before.confirmation.key:
            self.stepped(before, Event.SENT, after)

    @rule()
    def restart(self) -> None:
        self.store.take_over(self.later())

    @invariant()
    def the_address_is_taken_once(self) -> None:
        live = [each.runner.email for each in self.store.page("", 1_000, None) if each.state is State.REGISTERED]
        assert len(live) == len(set(live))

    @invariant()
    def nobody_is_told_of_a_place_after_it_was_taken_back(self) -> None:
        for keys in self.mailed.values():
            told = [key.partition(":")[0] for key in keys]
            assert "confirmation" not in told[told.index("cancellation") :] if "cancellation" in told else True

    @invariant()
    def who_waits_for_a_confirmation_has_none(self) -> None:
        for each in self.store.unconfirmed(1_000):
            waiting = self.store.find(each.registration_id)
            assert waiting.state is State.REGISTERED
            assert waiting.confirmation.state is not SENT

    def later(self) -> int:
        self.now += 1
        return self.now

    def pending(self) -> list[OutboxEntry]:
        with self.database.engine.begin() as connection:
            return list(schema.OUTBOX.pending(connection, self.now + 3_600_000_000, 100))

    def mailed_already(self, each: OutboxEntry) -> bool:
        return each.entry_id in self.mailed[each.order_key]

    def stepped(self, before: Registration, event: Event, after: Registration) -> None:
        target = TRANSITIONS[stage_of(before)].get(event, stage_of(before))
        assert stage_of(after) == target


def test_no_life_leaves_the_table(unlogged: None) -> None:
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=max(1, settings().max_examples * PERCENT // 100),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


@pytest.mark.parametrize(("stage", "event"), [(stage, event) for stage, row in TRANSITIONS.items() for event in row])
def test_every_step_of_the_table_is_a_step_of_the_store(stage: Stage, event: Event) -> None:
    database = Database("sqlite://", schema.SCHEMA)
    store = SqlRegistrationStore(database.engine, entry)
    new = store.register(registration(), None)

    for earlier in way_to(stage):
        take(store, new.registration_id, earlier)
    reached = stage_of(store.find(new.registration_id))
    take(store, new.registration_id, event)

    assert reached == stage
    assert stage_of(store.find(new.registration_id)) == TRANSITIONS[stage][event]
    database.close()


def way_to(stage: Stage) -> list[Event]:
    """The shortest way from a new registration to a stage."""
    ways: list[tuple[Stage, list[Event]]] = [((State.REGISTERED, PENDING), [])]
    for reached, way in ways:
        if reached == stage:
            return way
        ways += [(following, [*way, event]) for event, following in TRANSITIONS[reached].items()]
    raise AssertionError(f"no way to {stage}")


def take(store: SqlRegistrationStore, registration_id: str, event: Event) -> None:
    """Let something happen."""
    key = store.find(registration_id).confirmation.key
    if event is Event.RESEND:
        store.resend(registration_id, None, "f" * 32, START)
    elif event is Event.CANCEL:
        store.cancel(registration_id, Cause.REQUESTED, "", START)
    elif event is Event.WITHDRAWN:
        store.note_handed_over({key: HandedOver(HandOver.WITHDRAWN, "m")}, START)
    else:
        state = next(state for state, news in EVENTS.items() if news is event)
        store.note_outcomes([News(registration_id, key, Outcome(state))], START)
