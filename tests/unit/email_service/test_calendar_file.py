from dataclasses import replace
from email.headerregistry import Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_service.calendar_file import calendar_file
from email_service.content import RegistrationCancellation, RegistrationConfirmation
from tests.support.calendar_lines import properties
from tests.support.fake_clock import START

ORGANIZER = Address("Baton Marathon", addr_spec="marathon@example.org")
CONFIRMATION = RegistrationConfirmation("Ann", "Läufe", "10 km", "r-1", START, "Town Hall")
CANCELLATION = RegistrationCancellation("Ann", "Läufe", "r-1", "why", "10 km", START)


def event(
    content: RegistrationConfirmation | RegistrationCancellation, organizer: Address = ORGANIZER
) -> dict[str, str]:
    lines = properties(calendar_file(content, START, organizer, START + 1_000_000))
    assert [(name, value) for name, _, value in lines if name in {"BEGIN", "END"}] == [
        *(("BEGIN", "VCALENDAR"), ("BEGIN", "VEVENT"), ("END", "VEVENT"), ("END", "VCALENDAR"))
    ]
    once = [name for name, _, _ in lines if name not in {"BEGIN", "END"}]
    assert len(once) == len(set(once))
    return {name: value for name, _, value in lines if name not in {"BEGIN", "END"}}


def test_a_confirmation_is_published_with_all_that_its_method_asks_for() -> None:
    said = event(CONFIRMATION)

    assert said == {
        "VERSION": "2.0",
        "PRODID": "-//Baton//email_service//EN",
        "METHOD": "PUBLISH",
        "UID": "r-1@example.org",
        "DTSTAMP": "20260921T141321Z",
        "SEQUENCE": "0",
        "STATUS": "CONFIRMED",
        "ORGANIZER": "mailto:marathon@example.org",
        "DTSTART": "20260921T141320Z",
        "SUMMARY": "Läufe\\, 10 km",
        "LOCATION": "Town Hall",
        "DESCRIPTION": "Registration: r-1",
    }


def test_a_cancellation_takes_out_the_same_event() -> None:
    put_in, taken_out = event(CONFIRMATION), event(CANCELLATION)

    assert (taken_out["METHOD"], taken_out["STATUS"]) == ("CANCEL", "CANCELLED")
    assert int(taken_out["SEQUENCE"]) > int(put_in["SEQUENCE"])
    for same in ("UID", "DTSTART", "SUMMARY", "ORGANIZER"):
        assert taken_out[same] == put_in[same]


def test_two_registrations_are_two_events() -> None:
    assert event(CONFIRMATION)["UID"] != event(replace(CONFIRMATION, registration_id="r-2"))["UID"]


def test_a_cancellation_without_a_distance_names_the_race_alone() -> None:
    assert event(replace(CANCELLATION, distance=""))["SUMMARY"] == "Läufe"


@pytest.mark.parametrize(
    ("name", "address", "line"),
    [
        ("", "a@example.org", "ORGANIZER:mailto:a@example.org"),
        ('The "Läufe"; x:y', "a+b@example.org", "ORGANIZER;CN=\"The 'Läufe'; x:y\":mailto:a%2Bb@example.org"),
    ],
)
def test_an_organizer_is_quoted(name: str, address: str, line: str) -> None:
    file = calendar_file(CONFIRMATION, START, Address(name, addr_spec=address), START)

    assert line in file.replace("\r\n ", "").split("\r\n")
    properties(file)


def test_long_lines_are_folded_between_characters() -> None:
    content = replace(CONFIRMATION, race="Läufe " * 40, location="Plätze🏃 " * 50)

    file = calendar_file(content, START, ORGANIZER, START)

    assert all(len(line.encode()) <= 75 for line in file.split("\r\n"))
    assert f"LOCATION:{('Plätze🏃 ' * 50).strip()}\r\n" in file.replace("\r\n ", "")


def test_no_value_makes_a_line_of_its_own() -> None:
    said = event(RegistrationConfirmation("Ann", "Race\r\nATTACH:x", "10\nkm", "r-1\nUID:2", START, "a\u2028b\0\\n;,"))

    assert said["SUMMARY"] == "Race ATTACH:x\\, 10 km"
    assert said["UID"] == "r-1 UID:2@example.org"
    assert said["LOCATION"] == "a b \\\\n\\;\\,"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.text(max_size=60), st.text(min_size=1, max_size=60))
def test_any_text_makes_a_file_that_reads_back(race: str, distance: str, registration: str) -> None:
    event(RegistrationConfirmation("Ann", race, distance, registration, START, race))
    event(RegistrationCancellation("Ann", race, registration, "", distance, START))
