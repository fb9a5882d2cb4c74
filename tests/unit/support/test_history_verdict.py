"""The judge of histories: sound ones pass, and each way to break a promise is seen."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.history.event import Event, History, What, read
from tests.support.history.verdict import Verdict, judge

SECOND = 1_000_000


def sent(key: str, at: int = 0, *, how: What = What.OK, due: int = 0) -> list[Event]:
    return [Event(What.INVOKED, at, key, until=due), Event(how, at + 1, key)]


def delivered(key: str, at: int, lease: str, *, until: int = 0, message: str = "") -> Event:
    lasts = until or at + 30 * SECOND
    return Event(What.DELIVERED, at, key, "q", message or f"m-{key}", lease, until=lasts)


def settled(lease: str, at: int, action: str = "ack", outcome: str = "APPLIED", *, due: int = 0) -> list[Event]:
    return [
        Event(What.SETTLING, at, lease_id=lease, how=action),
        Event(What.SETTLED, at + 1, lease_id=lease, how=outcome, until=due),
    ]


def extended(lease: str, at: int, until: int) -> Event:
    return Event(What.EXTENDED, at, lease_id=lease, until=until)


def of_key(*events: Event) -> list[Event]:
    """The same, of messages that have one ordering key."""
    return [replace(event, ordering_key="k") for event in events]


def life(key: str, at: int = 0) -> list[Event]:
    """A message as it should be."""
    return [*sent(key, at), delivered(key, at + 10, f"l-{key}"), *settled(f"l-{key}", at + 20)]


def test_a_sound_history_passes() -> None:
    verdict = judge([*life("a"), *life("b", 5)])

    assert verdict.kept
    assert verdict.counts == {
        "sent": 2,
        "refused": 0,
        "unknown": 0,
        "recovered": 0,
        "delivered": 2,
        "redelivered": 0,
        "acked": 2,
    }


@pytest.mark.parametrize(
    "events",
    [
        [*sent("a", how=What.UNKNOWN)],
        [*sent("a", how=What.UNKNOWN), delivered("a", 10, "1"), *settled("1", 20)],
        [*sent("a", how=What.UNKNOWN), *sent("a", 5, how=What.FAILED), delivered("a", 10, "1"), *settled("1", 20)],
        [*sent("a", how=What.FAILED), *sent("a", 5), delivered("a", 10, "1"), *settled("1", 20)],
        [*sent("a"), delivered("a", 10, "1", until=20), delivered("a", 21, "2"), *settled("2", 30)],
        [*sent("a"), delivered("a", 10, "1"), *settled("1", 20, "retry"), delivered("a", 30, "2"), *settled("2", 40)],
        [*sent("a"), delivered("a", 10, "1"), Event(What.SETTLING, 15, lease_id="1", how="ack")],
        [*sent("a"), delivered("a", 10, "1"), delivered("a", 12, "1"), *settled("1", 20)],
        [
            *sent("a"),
            delivered("a", 10, "2"),
            *settled("2", 20),
            delivered("a", 30, "1", until=9),
        ],
        [*sent("a", due=10), delivered("a", 10, "1"), *settled("1", 20)],
        [*sent("a"), delivered("a", 9, "1"), *settled("1", 20), *settled("1", 30, "ack", "MESSAGE_GONE")],
        [
            *sent("a"),
            delivered("a", 9, "1"),
            *settled("1", 20, "retry", due=40),
            delivered("a", 40, "2"),
            *settled("2", 50),
        ],
        [
            *sent("a"),
            delivered("a", 9, "1", until=20),
            extended("1", 15, 40),
            delivered("a", 40, "2"),
            *settled("2", 50),
        ],
        [*sent("a"), delivered("a", 9, "1", until=20), *settled("1", 30, "ack", "APPLIED_LATE")],
        [*sent("a"), Event(What.ENDING, 5, "a")],
        [*sent("a"), Event(What.ENDING, 5, "a"), Event(What.ENDED, 6, "a")],
        [
            *of_key(*sent("a"), *sent("b", 5), delivered("a", 20, "1"), *settled("1", 30), delivered("b", 40, "2")),
            *settled("2", 50),
        ],
    ],
    ids=[
        "unknown and never seen",
        "unknown and seen",
        "unknown, then refused, and seen",
        "refused, then sent",
        "the lease ran out",
        "retried",
        "the answer to an ack was lost",
        "the same lease again",
        "found in hand when the lease was over",
        "just in time",
        "acked twice",
        "retried in its own time",
        "an extended lease ran out",
        "acked late",
        "a purge may have taken it",
        "cancelled",
        "in the order of their key",
    ],
)
def test_what_a_sound_broker_may_show_passes(events: list[Event]) -> None:
    assert judge(events).broken == {}


@pytest.mark.parametrize(
    ("events", "promise"),
    [
        ([*sent("a")], "lost"),
        ([*sent("a"), delivered("a", 10, "1")], "lost"),
        ([*sent("a"), delivered("a", 10, "1"), *settled("1", 20, "retry")], "lost"),
        ([delivered("a", 10, "1"), *settled("1", 20)], "unexpected"),
        ([*sent("a", how=What.FAILED), delivered("a", 10, "1"), *settled("1", 20)], "unexpected"),
        ([*life("a"), delivered("a", 90, "2", message="another"), *settled("2", 95)], "stored_twice"),
        ([*sent("a"), delivered("a", 10, "1"), delivered("a", 11, "2"), *settled("2", 20)], "overlapping"),
        ([*life("a"), delivered("a", 22, "2")], "revived"),
        ([*life("a"), delivered("a", 22, "2"), *settled("2", 25)], "ended_twice"),
        ([*sent("a", due=11), delivered("a", 10, "1"), *settled("1", 20)], "early"),
        (
            [
                *sent("a"),
                delivered("a", 9, "1"),
                *settled("1", 20, "retry", due=40),
                delivered("a", 39, "2"),
                *settled("2", 50),
            ],
            "early",
        ),
        (
            [
                *sent("a"),
                delivered("a", 9, "1", until=20),
                extended("1", 15, 40),
                delivered("a", 39, "2"),
                *settled("2", 50),
            ],
            "overlapping",
        ),
        (
            [
                *sent("a"),
                delivered("a", 9, "1", until=20),
                delivered("a", 21, "2"),
                *settled("1", 30, "ack", "APPLIED_LATE"),
            ],
            "unfenced",
        ),
        (
            [
                *sent("a"),
                delivered("a", 9, "1", until=20),
                delivered("a", 21, "2"),
                extended("1", 30, 60),
                *settled("2", 40),
            ],
            "unfenced",
        ),
        ([*sent("a"), Event(What.ENDED, 6, "a"), delivered("a", 7, "1"), *settled("1", 20)], "revived"),
        (
            [
                *of_key(*sent("a"), *sent("c", 5), delivered("c", 20, "1"), *settled("1", 30), delivered("a", 40, "2")),
                *settled("2", 50),
            ],
            "out_of_order",
        ),
    ],
)
def test_each_broken_promise_is_seen(events: list[Event], promise: str) -> None:
    assert promise in judge([*life("b"), *events]).broken
    assert judge([*life("b"), *events]).broken[promise] == ["a"]


def test_a_history_outlives_the_client_that_wrote_it(tmp_path: Path) -> None:
    first, second = History(tmp_path / "1"), History(tmp_path / "2")
    events = life("a")
    for number, event in enumerate(events):
        (first if number % 2 else second).add(event)
    first.close()
    second.close()
    with (tmp_path / "2").open("a") as file:
        file.write('{"what": "deliv')

    assert read([tmp_path / "1", tmp_path / "2"]) == events


def test_a_verdict_names_what_is_broken() -> None:
    assert Verdict(lost=["a"], early=["b"]).broken == {"lost": ["a"], "early": ["b"]}
    assert replace(Verdict(), counts={"sent": 1}).kept
