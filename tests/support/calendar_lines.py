"""A calendar file, read as strictly as RFC 5545 is written."""

import re

# RFC 5545, section 3.1: a name, parameters, a colon and a value; TEXT escapes \ ; , and n (section 3.3.11).
LINE = re.compile(
    r'([A-Z-]+)((?:;[A-Z]+=(?:"[^"\x00-\x1f\x7f]*"|[^";:,\x00-\x1f\x7f]*))*):([^\x00-\x08\x0a-\x1f\x7f]*)'
)
TEXT = re.compile(r"(?:[^\\;,]|\\[\\;,nN])*")
TEXTS = {"UID", "SUMMARY", "LOCATION", "DESCRIPTION"}
INSTANT = re.compile(r"\d{8}T\d{6}Z")


def properties(file: str) -> list[tuple[str, str, str]]:
    """The lines of a file, each as name, parameters and value; an AssertionError where it breaks RFC 5545."""
    assert file.endswith("\r\n")
    assert not re.search(r"\r(?!\n)|(?<!\r)\n", file)
    assert all(0 < len(line.encode()) <= 75 for line in file.removesuffix("\r\n").split("\r\n"))
    found = [LINE.fullmatch(line) for line in file.replace("\r\n ", "").removesuffix("\r\n").split("\r\n")]
    lines = [line.groups() for line in found if line is not None]
    assert len(lines) == len(found)
    assert all(TEXT.fullmatch(value) for name, _, value in lines if name in TEXTS)
    assert all(INSTANT.fullmatch(value) for name, _, value in lines if name in {"DTSTAMP", "DTSTART"})
    return [(name, parameters, value) for name, parameters, value in lines]
