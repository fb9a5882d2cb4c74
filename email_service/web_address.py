"""A web address in ASCII, which is safe in a header, in a page and in a text."""

import re
from urllib.parse import quote

from email_validator import EmailNotValidError, validate_email

_PARTS = re.compile(r"(https?://)([^/?#]*)([^?]*)(.*)", re.DOTALL)
_PORT = re.compile(r"(.*?)((?::\d*)?)", re.DOTALL)
# What an address may hold as it is (RFC 3986, section 2), and what is percent-encoded already.
_KEPT = ":/?#[]@!$&'()*+,;=%"


def web_address(url: str) -> str:
    """An http or https address with its host in its ASCII form and everything else percent-encoded.

    Raises:
        ValueError: it is no such address, or its host has no ASCII form.
    """
    parts = _PARTS.fullmatch(url)
    if parts is None or not parts[2]:
        raise ValueError("must be an http or https address with a host")
    scheme, place, path, query = parts.groups()
    # "=?" begins an encoded word, which a reader of a header might decode.
    path = f"{path[:-1]}%3D" if path.endswith("=") and query else path
    query = query.replace("=?", "=%3F")
    return scheme + _ascii_place(place) + quote(path + query, safe=_KEPT)


def _ascii_place(place: str) -> str:
    user, at, host_and_port = place.rpartition("@")
    found = _PORT.fullmatch(host_and_port)
    assert found is not None, "every text matches"
    host, port = found.groups()
    return quote(user, safe=_KEPT) + at + (quote(host, safe=_KEPT) if host.isascii() else _ascii_host(host)) + port


def _ascii_host(host: str) -> str:
    try:
        return validate_email(f"web@{host}", check_deliverability=False, test_environment=True).ascii_domain
    except EmailNotValidError as error:
        raise ValueError("must name a host that has an ASCII form") from error
