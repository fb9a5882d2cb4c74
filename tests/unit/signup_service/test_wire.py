"""Registrations as protobuf, and back."""

import pytest

from baton.signup.v1 import registration_pb2 as pb
from mesh import page_token
from signup_service import wire
from signup_service.registration import Distance, Mode, NoticeState
from tests.unit.signup_service.example import registration


def test_names_are_trimmed_and_nothing_else_is() -> None:
    message = pb.Registration(
        first_name=" Ada ",
        last_name="\u2003Lovelace",
        email="Ada@example.org",
        address=" London ",
        distance=pb.DISTANCE_TEN_KILOMETRES,
    )

    runner = wire.runner(message)

    assert (runner.first_name, runner.last_name) == ("Ada", "Lovelace")
    assert (runner.email, runner.address) == ("Ada@example.org", " London ")
    assert runner.distance is Distance.TEN_KILOMETRES


@pytest.mark.parametrize("number", [number for number in pb.Distance.values() if number])
def test_every_distance_has_a_name_for_people(number: pb.Distance.ValueType) -> None:
    assert wire.runner(pb.Registration(distance=number)).distance.value


def test_the_mode_is_queued_unless_the_caller_says() -> None:
    assert wire.mode(pb.CONFIRMATION_MODE_UNSPECIFIED) is Mode.QUEUED
    assert wire.mode(pb.CONFIRMATION_MODE_BACKGROUND) is Mode.BACKGROUND


def test_no_filter_is_every_state() -> None:
    assert wire.state_filter(pb.Confirmation.STATE_UNSPECIFIED) is None
    assert wire.state_filter(pb.Confirmation.STATE_FAILED) is NoticeState.FAILED


def test_a_page_says_where_the_next_one_starts_only_when_there_is_one() -> None:
    found = [registration(number) for number in range(3)]

    assert wire.page(found, 3).next_page_token == ""
    shorter = wire.page(found, 2)
    assert page_token.decode(shorter.next_page_token) == shorter.registrations[-1].registration_id


def test_a_page_of_large_registrations_ends_before_its_bound() -> None:
    found = [registration(number, first_name="x" * 4_096) for number in range(1_000)]

    page = wire.page(found, 1_000)

    assert 3_000_000 < page.ByteSize() <= 3 * 1024 * 1024
    assert page_token.decode(page.next_page_token) == page.registrations[-1].registration_id
