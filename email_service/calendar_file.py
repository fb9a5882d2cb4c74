"""The start of a race as a calendar file (RFC 5545), for the reader's own calendar and time zone."""

from email_service.content import RegistrationConfirmation
from email_service.rendering import utc

# RFC 5545, section 3.1: a content line has at most 75 octets, its continuation begins with a space.
_LINE_OCTETS = 75


def calendar_file(content: RegistrationConfirmation, start: int, made_at: int) -> str:
    """One event without an end: how long it takes is up to the runner."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Baton//email_service//EN",
        "METHOD:PUBLISH",
        "BEGIN:VEVENT",
        f"UID:{_text(content.registration_id)}",
        f"DTSTAMP:{_stamp(made_at)}",
        f"DTSTART:{_stamp(start)}",
        f"SUMMARY:{_text(f'{content.race}, {content.distance}')}",
        *([f"LOCATION:{_text(content.location)}"] if content.location else []),
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _stamp(instant: int) -> str:
    moment = utc(instant)
    return f"{moment.year:04}{moment:%m%dT%H%M%SZ}"


def _text(value: str) -> str:
    for character in "\\;,":
        value = value.replace(character, f"\\{character}")
    return "\\n".join(value.splitlines())


def _folded(line: str) -> str:
    folded, room = "", _LINE_OCTETS
    for character in line:
        size = len(character.encode())
        if size > room:
            folded, room = f"{folded}\r\n ", _LINE_OCTETS - 1
        folded, room = folded + character, room - size
    return folded
