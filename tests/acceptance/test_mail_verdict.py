"""The judge of who was mailed once, before accounts with a fault planted in each."""

import pytest

from tests.support.mail_ledger import Delivery
from tests.support.mail_verdict import judge

ADA, BOB = "ada@example.org", "bob@example.org"
RUNNERS = {ADA, BOB}
# The first life of the sender was killed when it had noted Bob's mail, and the second was not killed.
NOTED = {0: {BOB}}


def mail(to: str, life: int = 1, *, cut: bool = False, name: str = "") -> Delivery:
    return Delivery(to, name or f"<{to}>", life, cut)


def test_one_mail_each_is_right() -> None:
    verdict = judge(RUNNERS, [mail(ADA), mail(BOB)], NOTED)

    assert verdict.faults == []
    assert (verdict.mails, verdict.cut, verdict.unnoted, verdict.second) == (2, 0, 0, 0)


@pytest.mark.parametrize(
    ("first", "cut", "unnoted"),
    [
        ([mail(ADA, 0, cut=True)], 1, 0),
        ([mail(ADA, 0)], 0, 1),
        ([mail(ADA, 0, cut=True), mail(ADA, 0, cut=True)], 2, 0),
        ([mail(ADA, 0, cut=True), mail(ADA, 0)], 1, 1),
    ],
)
def test_each_mail_of_which_nobody_could_know_excuses_one_more(first: list[Delivery], cut: int, unnoted: int) -> None:
    verdict = judge(RUNNERS, [*first, mail(BOB, 0), mail(ADA)], NOTED)

    assert verdict.faults == []
    assert (verdict.cut, verdict.unnoted, verdict.second) == (cut, unnoted, len(first))


def test_what_is_excused_and_did_not_come_again_is_one_mail() -> None:
    verdict = judge(RUNNERS, [mail(ADA, cut=True), mail(BOB)], NOTED)

    assert (verdict.faults, verdict.cut, verdict.second) == ([], 1, 0)


@pytest.mark.parametrize(
    ("account", "fault"),
    [
        ([mail(BOB)], f"{ADA} is registered and has no mail"),
        ([mail(ADA), mail(BOB), mail("eve@example.org")], "eve@example.org has mail and is not registered"),
        ([mail(ADA), mail(BOB), mail(ADA)], f"{ADA} has 2 mails, and the sender knew of 1 before the last"),
        ([mail(ADA), mail(BOB, 0), mail(BOB)], f"{BOB} has 2 mails, and the sender knew of 1 before the last"),
        # A cut excuses what comes after it, not what was there before.
        ([mail(BOB), mail(ADA), mail(ADA, cut=True)], f"{ADA} has 2 mails, and the sender knew of 1 before the last"),
        # One cut excuses one more mail, not two.
        (
            [mail(BOB), mail(ADA, cut=True), mail(ADA), mail(ADA)],
            f"{ADA} has 3 mails, and the sender knew of 1 before the last",
        ),
        (
            [mail(BOB), mail(ADA, cut=True), mail(ADA, name="<another>")],
            f"{ADA} has mails under 2 Message-IDs",
        ),
        ([mail(ADA, name="<one>"), mail(BOB, name="<one>")], f"<one> stands on mails to {sorted(RUNNERS)}"),
    ],
)
def test_a_fault_is_named(account: list[Delivery], fault: str) -> None:
    assert judge(RUNNERS, account, NOTED).faults == [fault]


def test_a_mail_that_somebody_asked_for_anew_may_have_a_name_of_its_own() -> None:
    account = [mail(BOB), mail(ADA, cut=True), mail(ADA, name="<anew>")]

    assert judge(RUNNERS, account, NOTED, resent={ADA}).faults == []


def test_asking_anew_excuses_no_mail_after_one_that_was_known() -> None:
    account = [mail(BOB), mail(ADA), mail(ADA, name="<anew>")]

    assert judge(RUNNERS, account, NOTED, resent={ADA}).faults != []
