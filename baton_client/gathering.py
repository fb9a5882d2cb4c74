"""Which of the messages that wait go out together: a pure decision."""

from collections import deque
from collections.abc import Collection
from typing import Protocol, TypeVar

#: The contract's limits of one SendMessages.
MOST_MESSAGES = 1000
MOST_BYTES = 3 * 1024 * 1024


class Waiting(Protocol):
    """A message that waits to be sent."""

    @property
    def size(self) -> int:
        """Bytes that it counts."""

    @property
    def ordering_key(self) -> str:
        """The key whose order it must keep; empty for none."""


W = TypeVar("W", bound=Waiting)


def gathered(waiting: deque[W], busy: Collection[str], most: int = MOST_MESSAGES) -> list[W]:
    """Take out of ``waiting``, in order, what the next send may carry.

    Args:
        waiting: the messages, oldest first; what is not taken stays, in order.
        busy: ordering keys of sends that are under way: a message of one has to wait until it is known how those ended.
        most: messages at most.
    """
    taken: list[W] = []
    passed: list[W] = []
    held = set(busy)
    room = MOST_BYTES
    while waiting and len(taken) < most:
        message = waiting.popleft()
        if message.ordering_key and message.ordering_key in held:
            passed.append(message)
        elif taken and message.size > room:
            waiting.appendleft(message)
            break
        else:
            taken.append(message)
            room -= message.size
    waiting.extendleft(reversed(passed))
    return taken
