"""How news changes what is known of an email."""

from dataclasses import replace
from itertools import permutations

import pytest

from signup_service.outcome import FAILED, MAX_ERROR_BYTES, SENT, Outcome, after
from signup_service.registration import Notice, NoticeState
from tests.support.fake_clock import START
from tests.unit.signup_service.example import registration

NEW = registration().confirmation
LATER = START + 1


def in_state(state: NoticeState) -> Notice:
    return replace(NEW, state=state, attempts=1, last_error="SMTP_451: busy", email_id="email-1")


@pytest.mark.parametrize("news", list(NoticeState))
def test_the_same_news_twice_changes_nothing_the_second_time(news: NoticeState) -> None:
    outcome = Outcome(news, attempts=3, error="" if news is SENT else "SMTP_451: busy", email_id="email-1")

    once = after(NEW, outcome, START)

    assert after(once, outcome, LATER) is once


def test_a_change_notes_its_time() -> None:
    assert after(NEW, Outcome(SENT), LATER).update_time == LATER


def test_a_report_and_a_dead_letter_say_the_same_in_either_order() -> None:
    report = Outcome(FAILED, attempts=1, error="SMTP_550: no such user", email_id="email-1")
    dead_letter = Outcome(FAILED, attempts=4, error="SMTP_550: rejected")

    ends = [after(after(NEW, first, START), second, START) for first, second in permutations([report, dead_letter])]

    assert ends[0] == ends[1]
    assert (ends[0].attempts, ends[0].last_error, ends[0].email_id) == (4, "SMTP_550: rejected", "email-1")


def test_sent_keeps_what_the_last_failed_try_said() -> None:
    sent = after(in_state(FAILED), Outcome(SENT, attempts=1), LATER)

    assert sent.last_error == "SMTP_451: busy"


def test_a_long_error_is_cut_between_characters() -> None:
    failed = after(NEW, Outcome(FAILED, error="\0" + "ü" * MAX_ERROR_BYTES), LATER)

    assert failed.last_error == "ü" * (MAX_ERROR_BYTES // 2)
