"""Names of queues: Cloudflare allows more than we do, so a name may have to be written otherwise."""

import re

from mesh.field_checks import shown
from queue_service.wrangler.findings import Findings

_LONGEST = 63
_OTHERS = re.compile(r"[^a-z0-9-]+")


def legal_name(name: str) -> str:
    """A name as it may stand here, always the same for the same name; empty when it has no letter or digit.

    Lower case; every run of characters other than letters, digits and hyphens is a hyphen; it begins with a letter.
    """
    text = _OTHERS.sub("-", name.lower()).strip("-")
    if text[:1].isdigit():
        text = f"q-{text}"
    return text[:_LONGEST].rstrip("-")


class QueueNames:
    """The names in some files and what they are here; never two queues under one name."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._written: dict[str, str] = {}
        self._taken: dict[str, str] = {}

    def write(self, name: object, key: str) -> str:
        """The name to write; empty, and a problem, when there is none."""
        if not isinstance(name, str) or not name:
            self._findings.problem(key, "is required" if name in (None, "") else f"must be a string, is {shown(name)}")
            return ""
        if name not in self._written:
            self._written[name] = self._choose(name, key)
        return self._written[name]

    def _choose(self, name: str, key: str) -> str:
        text = legal_name(name)
        if not text:
            self._findings.problem(key, f"name {shown(name)} has no letter of a to z and no digit to make a name of")
        elif text in self._taken:
            self._findings.problem(
                key, f"names {shown(self._taken[text])} and {shown(name)} would both be {text!r} here"
            )
        else:
            self._taken[text] = name
            if text != name:
                self._findings.note(key, f"name {shown(name)} is not allowed here; written as {text!r}")
        return text
