"""Each claim of the demo holds for a true story, and fails for a planted lie."""

from dataclasses import replace

from examples.demo import claims
from examples.demo.claims import Told
from stage.mail_log import MailEvent

ADA = Told("Ada", "ada@example.org", 2, "SENT", places=1, end="SENT", mails=1, reason="")
BEA = Told("Bea", "bea@example.org", 1, "FAILED", places=1, end="FAILED", mails=0, reason="550 no such mailbox")
RUNNERS = [ADA, BEA]
EVENTS = [
    MailEvent(10.0, "refused", ADA.email, 1, 40_000, reply="451 later"),
    MailEvent(10.1, "refused", BEA.email, 1, 40_001, reply="550 no such mailbox"),
    MailEvent(15.2, "transferred", ADA.email, 2, 40_000, message_id="<1@test>"),
    MailEvent(15.5, "taken", ADA.email, 2, 40_000, message_id="<1@test>"),
]
DELAYS = {(ADA.email, 2): 5.0}
AGAIN = replace(EVENTS[-1], time=17.0, attempt=3, connection=40_002)


def test_every_claim_holds_for_a_true_story() -> None:
    made = [
        claims.one_place_each(RUNNERS),
        claims.ended_as_planned(RUNNERS),
        claims.nobody_twice(RUNNERS, EVENTS, []),
        claims.log_agrees(RUNNERS, EVENTS),
        claims.only_refused_again(RUNNERS, EVENTS),
        claims.never_early(RUNNERS, EVENTS, DELAYS),
        claims.tied_to_runner(RUNNERS),
        claims.emptied({"work": 0}),
    ]

    assert [claim for claim in made if not claim.holds] == []


def test_a_runner_with_two_places_or_none_is_found() -> None:
    claim = claims.one_place_each([replace(ADA, places=2), replace(BEA, places=0)])

    assert (claim.holds, claim.found) == (False, "Ada: 2, Bea: 0")


def test_a_confirmation_that_is_still_under_way_is_found() -> None:
    claim = claims.ended_as_planned([replace(ADA, end="PENDING")])

    assert (claim.holds, claim.found) == (False, "Ada: PENDING, not SENT")


def test_a_mail_that_was_taken_twice_is_found() -> None:
    claim = claims.nobody_twice(RUNNERS, [*EVENTS, AGAIN], [])

    assert (claim.holds, claim.found) == (False, "Ada: 2")


def test_a_mail_taken_in_the_instant_before_a_kill_may_come_once_more_and_is_said() -> None:
    excused = claims.nobody_twice(RUNNERS, [*EVENTS, AGAIN], [16.0])
    long_before = claims.nobody_twice(RUNNERS, [*EVENTS, AGAIN], [16.9])
    both_before = claims.nobody_twice(RUNNERS, [*EVENTS, replace(AGAIN, time=15.6)], [16.0])
    thrice = claims.nobody_twice(RUNNERS, [*EVENTS, AGAIN, AGAIN], [16.0])

    assert excused.holds
    assert "again under the same Message-ID: Ada" in excused.found
    assert [claim.holds for claim in (long_before, both_before, thrice)] == [False, False, False]


def test_a_mail_that_the_registration_does_not_know_and_one_that_never_came_are_found() -> None:
    unknown = claims.log_agrees([replace(ADA, mails=0)], EVENTS)
    missing = claims.log_agrees(RUNNERS, EVENTS[:-1])
    two_of_them = claims.log_agrees(RUNNERS, [*EVENTS, replace(AGAIN, message_id="<2@test>")])

    assert unknown.found == "Ada: 0 by the registration, 1 by the log"
    assert missing.found == "Ada: 1 by the registration, 0 by the log"
    assert two_of_them.found == "Ada: 1 by the registration, 2 by the log"
    assert [claim.holds for claim in (unknown, missing, two_of_them)] == [False, False, False]


def test_a_try_too_many_and_one_too_few_are_found() -> None:
    claim = claims.only_refused_again([replace(ADA, tries=1), replace(BEA, tries=2)], EVENTS)

    assert (claim.holds, claim.found) == (False, "Ada: 2, not 1, Bea: 1, not 2")


def test_an_attempt_before_its_delay_was_over_is_found() -> None:
    claim = claims.never_early(RUNNERS, EVENTS, {(ADA.email, 2): 5.3})

    assert (claim.holds, claim.found) == (False, "Ada: after 5.2 s")


def test_delays_that_nobody_saw_are_no_proof() -> None:
    assert not claims.never_early(RUNNERS, EVENTS, {}).holds


def test_a_failed_mail_without_its_reason_is_found() -> None:
    assert not claims.tied_to_runner([replace(BEA, reason="")]).holds
    assert not claims.tied_to_runner([ADA]).holds


def test_a_queue_that_still_holds_something_is_found() -> None:
    claim = claims.emptied({"work": 0, "dead": 1})

    assert (claim.holds, claim.found) == (False, "dead: 1")
