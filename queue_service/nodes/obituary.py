"""Which nodes may be dead: those whose heartbeat stood still while one looked at it."""

from collections.abc import Iterator

from queue_service.nodes.picture import Picture


class Obituary:
    """Remembers since when each node's heartbeat stands still.

    A heartbeat that is old when one first looks says nothing: the database may have been away for everybody.

    Args:
        silence: how long it has to stand still, in microseconds.
    """

    def __init__(self, silence: int) -> None:
        self._silence = silence
        self._still: dict[int, tuple[int, int]] = {}

    def forget(self) -> None:
        """Begin again: one could not look."""
        self._still.clear()

    def silent(self, picture: Picture, me: int) -> Iterator[tuple[int, int]]:
        """The nodes that may be dead, and when each was last seen."""
        others = [node for node in picture.nodes if node.number != me]
        known, self._still = self._still, {}
        for node in others:
            seen_at, since = known.get(node.number, (node.seen_at, picture.answered))
            self._still[node.number] = (node.seen_at, since if seen_at == node.seen_at else picture.answered)
        for number, (seen_at, since) in self._still.items():
            if picture.answered - since >= self._silence:
                yield number, seen_at
