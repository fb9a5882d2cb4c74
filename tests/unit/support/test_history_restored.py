"""A history is cut where a backup was made: the judge then accuses a broker of what it lost, and of nothing else."""

from tests.support.history.event import Event, What
from tests.support.history.restored import backed_up
from tests.support.history.verdict import Verdict, judge

BEGAN, ENDED, RESTORED = 100, 200, 10_000


def sent(key: str, at: int) -> list[Event]:
    return [Event(What.INVOKED, at, key), Event(What.OK, at + 5, key)]


def acked(key: str, at: int, lease: str) -> list[Event]:
    return [
        Event(What.DELIVERED, at, key, "q", f"m-{key}", lease, until=at + 1_000),
        Event(What.SETTLING, at + 1, lease_id=lease, how="ack"),
        Event(What.SETTLED, at + 5, lease_id=lease, how="APPLIED"),
    ]


def verdict(before: list[Event], after: list[Event]) -> Verdict:
    return judge([*backed_up(sorted(before, key=lambda event: event.at), BEGAN, ENDED), *after])


def test_what_was_confirmed_before_the_backup_and_never_came_is_lost() -> None:
    assert verdict(sent("a", 0), []).lost == ["a"]
    assert verdict([*sent("a", 0), *acked("a", ENDED + 1, "1")], []).lost == ["a"]
    assert verdict(sent("a", 0), acked("a", RESTORED, "2")).kept


def test_what_was_acked_before_the_backup_may_not_come_again() -> None:
    before = [*sent("a", 0), *acked("a", 20, "1")]

    assert verdict(before, []).kept
    assert verdict(before, acked("a", RESTORED, "2")).revived == ["a"]


def test_what_was_acked_after_the_backup_has_to_come_again() -> None:
    assert verdict([*sent("a", 0), *acked("a", ENDED + 1, "1")], acked("a", RESTORED, "2")).kept


def test_what_was_sent_after_the_backup_is_gone_and_may_not_come() -> None:
    assert verdict(sent("a", ENDED + 1), []).kept
    assert verdict(sent("a", ENDED + 1), acked("a", RESTORED, "1")).unexpected == ["a"]


def test_what_was_under_way_during_the_backup_may_be_in_it_or_not() -> None:
    for at in (BEGAN - 2, BEGAN + 10):
        assert verdict(sent("a", at), []).kept
        assert verdict(sent("a", at), acked("a", RESTORED, "1")).kept
        assert verdict([*sent("a", 0), *acked("a", at, "1")], []).kept
        assert verdict([*sent("a", 0), *acked("a", at, "1")], acked("a", RESTORED, "2")).kept
