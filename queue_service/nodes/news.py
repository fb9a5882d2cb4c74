"""What nodes tell each other: little words, gathered for a few milliseconds, lost without harm."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: Bytes of one word; PostgreSQL takes 8000 at most.
LONGEST = 7000


@dataclass(slots=True)
class News:
    """What one node has to say.

    Attributes:
        ready: by queue, when messages of it can be delivered, and how many.
        version: the newest version of queues and redrive tasks, which all are to go by.
        at_version: the version that the speaker goes by.
    """

    ready: dict[str, tuple[int, int]] = field(default_factory=dict)
    version: int = 0
    at_version: int = 0

    def __bool__(self) -> bool:
        """Whether there is anything to say."""
        return bool(self.ready or self.version or self.at_version)

    def note_ready(self, queue: str, at: int, count: int) -> None:
        """Gather: the earliest instant, and the sum."""
        known_at, known = self.ready.get(queue, (at, 0))
        self.ready[queue] = (min(at, known_at), known + count)

    def words(self, speaker: int) -> list[str]:
        """All of it, in words that are short enough."""
        words: list[str] = []
        plain: dict[str, Any] = {"from": speaker, "version": self.version, "at_version": self.at_version}
        room = LONGEST
        ready: dict[str, tuple[int, int]] = {}
        for queue, what in self.ready.items():
            room -= len(json.dumps({queue: what}))
            if room < 0 and ready:
                words.append(json.dumps({**plain, "ready": ready}))
                ready, room = {}, LONGEST - len(json.dumps({queue: what}))
            ready[queue] = what
        return [*words, json.dumps({**plain, "ready": ready})]


def heard(said: str) -> tuple[int, News]:
    """Who spoke, and what it said."""
    plain = json.loads(said)
    ready = {queue: (at, count) for queue, (at, count) in plain["ready"].items()}
    return plain["from"], News(ready, plain["version"], plain["at_version"])


class Gathering:
    """News that wait to be said.

    Args:
        arrived: told when there is something to say and there was nothing before.
    """

    def __init__(self, arrived: Callable[[], None]) -> None:
        self._arrived, self._news = arrived, News()

    def ready(self, queue: str, at: int, count: int) -> None:
        """``count`` messages can be delivered at that instant."""
        self._news.note_ready(queue, at, count)
        self._arrived()

    def version(self, version: int) -> None:
        """All are to go by this version."""
        self._news.version = max(self._news.version, version)
        self._arrived()

    def at_version(self, version: int) -> None:
        """This node goes by it."""
        self._news.at_version = max(self._news.at_version, version)
        self._arrived()

    def take(self) -> News:
        """What there is to say, once."""
        news, self._news = self._news, News()
        return news
