"""The runners of the demo, and what is expected of the mail to each."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

_NAMES = [
    "Ada",
    "Bea",
    "Cleo",
    "Dan",
    "Eve",
    "Finn",
    "Gus",
    "Hal",
    "Ida",
    "Jon",
    "Kim",
    "Lou",
    "Max",
    "Nia",
    "Oli",
    "Pia",
    "Quin",
    "Rob",
    "Sue",
    "Tom",
    "Uma",
    "Val",
    "Wes",
    "Xia",
    "Yan",
    "Zoe",
    "Abe",
    "Bo",
]


@dataclass
class Runner:
    """Who signs up.

    Args:
        name: the first name.
        email: the address, of this run alone.
        tries: how often a mail to this address should be tried in all, as the chapters plan it; None: who knows.
        ends: how the confirmation should end, in the contract's word.
    """

    name: str
    email: str
    tries: int | None = 1
    ends: str = "SENT"


@dataclass
class Cast:
    """Everybody who has signed up so far."""

    domain: str = field(default_factory=lambda: f"{secrets.token_hex(3)}.example.org")
    runners: list[Runner] = field(default_factory=list)
    _names: Iterator[str] = field(default_factory=lambda: iter(_NAMES))

    def come(self, count: int) -> list[Runner]:
        """The next so many."""
        return [self.add(next(self._names)) for _ in range(count)]

    def add(self, name: str) -> Runner:
        """One more, by name."""
        runner = Runner(name, f"{name.lower()}@{self.domain}")
        self.runners.append(runner)
        return runner

    def name(self, email: str) -> str:
        """Whose address it is."""
        return next((runner.name for runner in self.runners if runner.email == email), "a stranger")
