"""Counts that take a walk along a long line: they are remembered for a second, which the contract allows."""

from mesh.clock import SECOND


class KnownCounts:
    """What was counted last, by the number of a queue and the name of the count."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[int, int]] = {}

    def recall(self, queue_number: int, name: str, now: int) -> int | None:
        """A count that was noted within the last second; None when there is none."""
        at, count = self._known.get((queue_number, name), (now + 1, 0))
        return count if at <= now < at + SECOND else None

    def note(self, queue_number: int, name: str, now: int, count: int) -> None:
        """Remember a count."""
        self._known[queue_number, name] = now, count

    def forget(self, queue_number: int) -> None:
        """A queue that goes takes its counts along."""
        self._known = {key: known for key, known in self._known.items() if key[0] != queue_number}
