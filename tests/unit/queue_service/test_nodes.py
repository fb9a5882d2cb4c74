"""The rules of several nodes: who does what, who may be dead, what time it is, how news are said."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.clock import SECOND
from queue_service.nodes.database_clock import DatabaseClock
from queue_service.nodes.fair_share import claims, too_many
from queue_service.nodes.news import LONGEST, News, heard
from queue_service.nodes.obituary import Obituary
from queue_service.nodes.picture import Picture, Seen
from queue_service.nodes.shared_duties import CERTAIN, SharedDuties

DUTIES = st.sets(st.text("abcdefgh", min_size=1, max_size=3), max_size=12)
NODES = st.sets(st.integers(1, 9), min_size=1, max_size=5)


@given(DUTIES, NODES, st.data())
def test_after_a_few_heartbeats_every_duty_is_done_once_and_nobody_does_too_much(
    duties: set[str], nodes: set[int], data: st.DataObject
) -> None:
    owners = data.draw(st.dictionaries(st.sampled_from(sorted(duties)), st.integers(1, 9))) if duties else {}

    for _ in range(2 * len(duties) + 2):
        for node in sorted(nodes):
            for duty in too_many(duties, owners, nodes, node):
                del owners[duty]
            for duty in claims(duties, owners, nodes, node):
                if owners.get(duty) not in nodes:
                    owners[duty] = node

    load = Counter(owners[duty] for duty in duties)
    assert load.keys() <= nodes
    assert max(load.values(), default=0) - min((load[node] for node in nodes), default=0) <= 1


def picture(at: float, **seen_at: float) -> Picture:
    nodes = tuple(Seen(int(name[1:]), round(when * SECOND), 1, False, True) for name, when in seen_at.items())
    return Picture(nodes, {}, 1, frozenset(), round(at * SECOND), round(at * SECOND), round(at * SECOND))


def test_a_heartbeat_that_stands_still_while_one_looks_may_be_a_dead_nodes() -> None:
    obituary = Obituary(4 * SECOND)

    assert not list(obituary.silent(picture(10, n1=10, n2=1), me=1))
    assert not list(obituary.silent(picture(13, n1=13, n2=1), me=1))
    assert list(obituary.silent(picture(14, n1=14, n2=1), me=1)) == [(2, SECOND)]


def test_a_heart_that_beats_again_is_not_a_dead_nodes() -> None:
    obituary = Obituary(4 * SECOND)
    list(obituary.silent(picture(10, n2=1), me=1))
    list(obituary.silent(picture(13, n2=12), me=1))

    assert not list(obituary.silent(picture(15, n2=12), me=1))


def test_nobody_is_silent_while_one_cannot_look() -> None:
    obituary = Obituary(4 * SECOND)
    list(obituary.silent(picture(10, n2=1), me=1))

    obituary.forget()

    assert not list(obituary.silent(picture(20, n2=1), me=1))


def test_the_databases_time_is_kept_by_a_steady_clock() -> None:
    steady = [1_000]
    clock = DatabaseClock(lambda: steady[0])

    clock.measured(asked=1_000, now=5_000_100, answered=1_200)
    steady[0] = 2_000

    assert clock.now() == 5_001_000
    assert clock.error == 100


def test_the_quickest_look_is_believed_until_the_database_has_another_time() -> None:
    steady = [0]
    clock = DatabaseClock(lambda: steady[0])

    clock.measured(asked=0, now=5_000, answered=10)
    clock.measured(asked=100, now=5_900, answered=1_900)
    assert clock.now() == 4_995

    clock.measured(asked=2_000, now=90_005, answered=2_010)
    assert clock.now() == 88_000


@pytest.mark.parametrize("count", [0, 1, 500])
def test_news_are_heard_as_they_were_said(count: int) -> None:
    news = News(version=7, at_version=3)
    for number in range(count):
        news.note_ready(f"queue-{number}-\u00e9", number, 1)
        news.note_ready(f"queue-{number}-\u00e9", number + 5, 2)

    words = news.words(4)

    assert all(len(word.encode()) < LONGEST + 200 for word in words)
    said = [heard(word) for word in words]
    assert {speaker for speaker, _ in said} == {4}
    ready = {name: what for _, each in said for name, what in each.ready.items()}
    assert ready == {f"queue-{number}-\u00e9": (number, 3) for number in range(count)}
    assert {(each.version, each.at_version) for _, each in said} == {(7, 3)}


def test_a_node_that_has_not_been_heard_of_is_not_certain_of_its_duties() -> None:
    now = [0]
    duties = SharedDuties(lambda: None, lambda: now[0])
    assert not duties.certain()

    duties.beaten(0, {}, 1)
    assert duties.certain()

    now[0] = CERTAIN
    assert not duties.certain()
