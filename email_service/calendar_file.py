"""The start of a race as a calendar file (RFC 5545, RFC 5546), for the reader's own calendar and time zone."""

from email.headerregistry import Address
from urllib.parse import quote

from email_service.content import RegistrationCancellation, RegistrationConfirmation
from email_service.rendering import utc
from email_service.wording import one_line

# RFC 5545, section 3.1: a content line has at most 75 octets, its continuation begins with a space.
_LINE_OCTETS = 75

Registered = RegistrationConfirmation | RegistrationCancellation


def method_of(content: Registered) -> str:
    """What the file does to the reader's calendar: it puts the race in, or takes it out."""
    return "CANCEL" if isinstance(content, RegistrationCancellation) else "PUBLISH"


def calendar_file(content: Registered, start: int, organizer: Address, made_at: int) -> str:
    """One event without an end: how long it takes is up to the runner.

    The file of a cancellation names the event of the confirmation, by its UID, with a higher SEQUENCE.
    """
    cancelled = isinstance(content, RegistrationCancellation)
    location = content.location if isinstance(content, RegistrationConfirmation) else ""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Baton//email_service//EN",
        f"METHOD:{method_of(content)}",
        "BEGIN:VEVENT",
        f"UID:{_text(content.registration_id)}@{organizer.domain}",
        f"DTSTAMP:{_stamp(made_at)}",
        f"SEQUENCE:{int(cancelled)}",
        f"STATUS:{'CANCELLED' if cancelled else 'CONFIRMED'}",
        _organizer(organizer),
        f"DTSTART:{_stamp(start)}",
        f"SUMMARY:{_text(', '.join(filter(None, (content.race, content.distance))))}",
        *([f"LOCATION:{_text(location)}"] if location else []),
        f"DESCRIPTION:{_text(f'Registration: {content.registration_id}')}",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _organizer(organizer: Address) -> str:
    name = one_line(organizer.display_name).replace('"', "'")  # a quoted parameter has no way to hold a quote
    named = f';CN="{name}"' if name else ""
    return f"ORGANIZER{named}:mailto:{quote(organizer.addr_spec, safe='@')}"


def _stamp(instant: int) -> str:
    moment = utc(instant)
    return f"{moment.year:04}{moment:%m%dT%H%M%SZ}"


def _text(value: str) -> str:
    value = one_line(value)
    for character in "\\;,":
        value = value.replace(character, f"\\{character}")
    return value


def _folded(line: str) -> str:
    folded, room = "", _LINE_OCTETS
    for character in line:
        size = len(character.encode())
        if size > room:
            folded, room = f"{folded}\r\n ", _LINE_OCTETS - 1
        folded, room = folded + character, room - size
    return folded
