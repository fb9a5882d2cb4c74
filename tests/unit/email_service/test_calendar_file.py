from email_service.calendar_file import calendar_file
from email_service.content import RegistrationConfirmation
from tests.support.fake_clock import START


def test_long_lines_are_folded_between_characters() -> None:
    content = RegistrationConfirmation("Ann", "Läufe " * 40, "10 km", "r-1", START, "Plätze " * 50)

    file = calendar_file(content, START, START)

    assert all(len(line.encode()) <= 75 for line in file.split("\r\n"))
    assert f"LOCATION:{'Plätze ' * 50}\r\n" in file.replace("\r\n ", "")


def test_no_value_makes_a_line_of_its_own() -> None:
    content = RegistrationConfirmation("Ann", "Race\r\nATTACH:x", "10\nkm", "r-1\nUID:2", START, "a\u2028b")

    names = [line.split(":")[0] for line in calendar_file(content, START, START).split("\r\n")]

    assert names.count("UID") == 1
    assert "ATTACH" not in names
