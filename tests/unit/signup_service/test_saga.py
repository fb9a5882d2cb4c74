"""The saga's table: what the documents say, what the code does, and what it refuses."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from signup_service.errors import RegistrationCancelled
from signup_service.outcome import FAILED, PENDING, SENT, WITHDRAWN, Outcome
from signup_service.registration import Cause, NoticeState, Registration, State
from signup_service.saga import TRANSITIONS, Event, Stage, cancelled, noted, resent, stage_of
from tests.support.fake_clock import START
from tests.unit.signup_service.example import registration

PAGE = Path(__file__).parents[3] / "docs" / "registration_saga.md"
NEWS = {Event.TRIED: PENDING, Event.SENT: SENT, Event.FAILED: FAILED, Event.WITHDRAWN: WITHDRAWN}
LATER = START + 1


def at(stage: Stage) -> Registration:
    """A registration at a stage."""
    place, state = stage
    new = registration()
    new = replace(new, confirmation=replace(new.confirmation, state=state, attempts=1))
    return new if place is State.REGISTERED else cancelled(new, Cause.REQUESTED, "", START)


def step(before: Registration, event: Event) -> Registration:
    """The registration after something happened."""
    if event is Event.RESEND:
        return resent(before, 2, "f" * 32, LATER)
    if event is Event.CANCEL:
        return cancelled(before, Cause.REQUESTED, "", LATER)
    return noted(before, before.confirmation, Outcome(NEWS[event], attempts=2), LATER).registration


def documented() -> dict[tuple[str, str], str]:
    """The table of the page: stage and event to what it says there."""
    lines = PAGE.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| stage "))
    events = [cell.strip() for cell in lines[first].strip("|").split("|")][1:]
    table: dict[tuple[str, str], str] = {}
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            return table
        stage, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        table |= {(stage, event): cell for event, cell in zip(events, cells, strict=True)}
    return table


def name(stage: Stage) -> str:
    return f"{stage[0].name} {stage[1].name}"


def in_words(stage: Stage, event: Event) -> str:
    if event in TRANSITIONS[stage]:
        return name(TRANSITIONS[stage][event])
    return "refused" if event is Event.RESEND else "-"


def test_the_page_and_the_code_have_one_table() -> None:
    coded = {(name(stage), event.name): in_words(stage, event) for stage, event in product(TRANSITIONS, Event)}

    assert documented() == coded


@pytest.mark.parametrize(("stage", "event"), list(product(TRANSITIONS, Event)))
def test_every_step_goes_where_the_table_says(stage: Stage, event: Event) -> None:
    before = at(stage)

    if event is Event.RESEND and event not in TRANSITIONS[stage]:
        with pytest.raises(RegistrationCancelled):
            step(before, event)
        return
    after = step(before, event)

    assert stage_of(after) == TRANSITIONS[stage].get(event, stage)
    if event not in TRANSITIONS[stage]:
        assert after is before


def test_every_stage_can_be_reached() -> None:
    reached, left = set[Stage](), {stage_of(registration())}
    while left:
        stage = left.pop()
        reached.add(stage)
        left |= set(TRANSITIONS[stage].values()) - reached

    assert reached == set(TRANSITIONS)


def test_a_confirmation_sent_anew_has_a_key_of_its_own_and_begins_at_nothing() -> None:
    failed = at((State.REGISTERED, FAILED))

    again = resent(failed, 2, "f" * 32, LATER).confirmation

    assert again.key == f"confirmation:{failed.registration_id}:2"
    assert (again.state, again.attempts, again.last_error, again.trace_id) == (PENDING, 0, "", "f" * 32)


def test_late_news_of_an_earlier_confirmation_leaves_the_newest_alone() -> None:
    before = at((State.REGISTERED, PENDING))
    again = resent(before, 2, "f" * 32, LATER)

    for state in (FAILED, WITHDRAWN, PENDING):
        assert noted(again, before.confirmation, Outcome(state, attempts=9), LATER).registration is again

    assert noted(again, before.confirmation, Outcome(WITHDRAWN), LATER).notice.state is WITHDRAWN


def test_a_runner_whom_any_confirmation_reached_waits_for_none() -> None:
    before = at((State.REGISTERED, PENDING))
    again = resent(before, 2, "f" * 32, LATER)

    told = noted(again, before.confirmation, Outcome(SENT), LATER).registration

    assert (before.unconfirmed_since, again.unconfirmed_since, told.unconfirmed_since) == (START, LATER, None)
    assert told.confirmation.state is PENDING
    assert resent(told, 3, "f" * 32, LATER).unconfirmed_since is None


def test_news_of_the_email_about_a_cancellation_is_kept_beside_it() -> None:
    before = at((State.CANCELLED, SENT))
    assert before.cancellation is not None

    told = noted(before, before.cancellation.notice, Outcome(FAILED, error="SMTP_550: no"), LATER).registration

    assert told.cancellation is not None
    assert (told.cancellation.notice.state, told.cancellation.notice.last_error) == (FAILED, "SMTP_550: no")
    assert stage_of(told) == stage_of(before)


@pytest.mark.parametrize(("confirmed", "state"), [(True, State.REGISTERED), (False, State.CANCELLED)])
def test_a_place_is_taken_back_for_want_of_a_confirmation_unless_one_has_just_come(
    confirmed: bool, state: State
) -> None:
    before = replace(registration(), unconfirmed_since=None if confirmed else START)

    assert cancelled(before, Cause.UNCONFIRMED, "", LATER).state is state


def test_every_state_of_a_confirmation_has_its_stages() -> None:
    assert {stage[1] for stage in TRANSITIONS} == set(NoticeState)
