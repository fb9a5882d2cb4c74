"""What one process does for all: the push of a queue, a redrive task."""

from collections.abc import Awaitable, Callable

#: Ends a duty because another process goes on with it: at once, or when what is under way has ended.
End = Callable[[bool], Awaitable[None]]


class Duties:
    """The duties of a process that has no others beside it: all there are."""

    def take_on(self, duty: str, begin: Callable[[], None], end: End) -> None:
        """Do a duty, now or as soon as it is this process's.

        Args:
            duty: its name.
            begin: begins it; again after each ``end``.
            end: ends it.
        """
        begin()

    def drop(self, duty: str) -> None:
        """The duty is no more; whoever called for it has ended it."""

    def elsewhere(self, duty: str) -> bool:
        """Whether another process does it, as far as is known."""
        return False

    def certain(self) -> bool:
        """Whether no other process can have taken the duties over unnoticed."""
        return True
