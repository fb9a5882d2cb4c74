"""A broker process that has its database for itself."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from queue_service.nodes.duties import Duties


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a node needs of the broker that it is.

    Attributes:
        version: the version of queues and redrive tasks that the store was last seen to have.
        refresh: sees what others changed.
        look: ends what is over in every queue, takes in what no node holds any more, and lets all who wait look.
        ready: lets those who wait for a queue look: its name, when, how many messages.
        share: told how many nodes there are.
        waited_for: the queues that somebody waits for, by number.
        begin_anew: ends what holds leases of this process: nothing it holds counts any more.
    """

    version: Callable[[], int]
    refresh: Callable[[], Awaitable[None]]
    look: Callable[[], Awaitable[None]]
    ready: Callable[[str, int, int], int]
    share: Callable[[int], None]
    waited_for: Callable[[], Collection[tuple[int, str]]]
    begin_anew: Callable[[], None]


class Alone:
    """Nobody to share with, and nobody to tell.

    Attributes:
        duties: what this process does for all.
    """

    duties: Duties

    def __init__(self) -> None:
        self.duties = Duties()

    async def start(self, surroundings: Surroundings) -> None:
        """Begin to be one of the nodes."""

    def tell_ready(self, queue: str, at: int, count: int) -> None:
        """Tell others that messages of a queue can be delivered at that instant."""

    async def spread(self, version: int) -> None:
        """Wait until the others go by a version of queues and redrive tasks, but not for long."""

    def look_again(self) -> None:
        """Something may have been missed: let all who wait look, and end what is over."""

    def drain(self) -> None:
        """Take on no more duties."""

    async def hand_over(self) -> None:
        """Let others have the duties, all of which have been ended."""

    async def leave(self) -> None:
        """Be a node no more, once the last transaction is done. Safe twice."""
