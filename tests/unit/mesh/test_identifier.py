"""Identifiers: UUIDv7, and in order whatever the clock does."""

import uuid
from random import Random

from mesh.clock import SECOND
from mesh.identifier import Identifiers
from tests.support.fake_clock import START, FakeClock

COUNTER = 4_096


def test_an_identifier_is_a_uuid_of_version_7_with_its_time() -> None:
    clock = FakeClock()

    made = uuid.UUID(Identifiers(clock)())

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == clock.now() // 1_000


def test_every_random_tail_keeps_the_variant() -> None:
    make = Identifiers(FakeClock(), Random(7))

    assert {uuid.UUID(make()).variant for _ in range(1_000)} == {uuid.RFC_4122}


def test_while_the_clock_stands_identifiers_grow() -> None:
    make = Identifiers(FakeClock())

    made = [make() for _ in range(3 * COUNTER)]

    assert made == sorted(made)
    assert {uuid.UUID(text).version for text in made} == {7}


def test_when_the_clock_goes_back_identifiers_grow() -> None:
    clock = FakeClock()
    make = Identifiers(clock)

    before = make()
    clock.turn(-3_600 * SECOND)
    after = [make() for _ in range(10)]

    assert [before, *after] == sorted([before, *after])


def test_a_full_counter_borrows_from_the_next_millisecond() -> None:
    clock = FakeClock()
    make = Identifiers(clock)

    made = [uuid.UUID(make()) for _ in range(COUNTER + 1)]

    assert made[-2].int >> 80 == clock.now() // 1_000
    assert made[-1].int >> 80 == clock.now() // 1_000 + 1


def test_a_later_millisecond_sorts_behind_an_earlier_one_of_any_maker() -> None:
    clock = FakeClock()
    first, second = Identifiers(clock), Identifiers(clock)

    earlier = first()
    clock.turn(1_000)

    assert earlier < second()


def test_no_identifier_comes_twice() -> None:
    make = Identifiers(FakeClock())

    assert len({make() for _ in range(100_000)}) == 100_000


def test_two_makers_at_the_same_instant_differ() -> None:
    clock = FakeClock()

    assert Identifiers(clock)() != Identifiers(clock)()


def test_what_follows_an_earlier_makers_is_greater_though_the_clock_went_back() -> None:
    clock = FakeClock()
    newest = [Identifiers(clock)() for _ in range(3)][-1]

    make = Identifiers(FakeClock(START - 3600 * SECOND), after=newest)

    made = [make() for _ in range(5000)]
    assert [newest, *made] == sorted([newest, *made])
    assert all(uuid.UUID(each).version == 7 for each in made)
