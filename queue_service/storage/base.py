"""The interface of a message store."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from queue_service.queue_definition import Queue
from queue_service.redrive import RedriveTask
from queue_service.storage.verbs import Verb


class MessageStore(Protocol):
    """Keeps queues and messages. Synchronous, and used by one thread at a time.

    Attributes:
        secret: bytes made with the store and kept with it, which key its lease ids.
    """

    secret: bytes

    @property
    def newest_id(self) -> str:
        """The greatest id of the messages that were there when the store was opened; empty for none.

        A clock that went back must not put what comes next before them.
        """

    @property
    def version(self) -> int:
        """That of queues and redrive tasks as of the last `apply`; 0 where nobody else changes them."""

    @property
    def queues(self) -> Mapping[str, Queue]:
        """Every queue, by its name, as of the last `apply`."""

    @property
    def redrive_tasks(self) -> Mapping[str, RedriveTask]:
        """Every redrive task, by its id, as of the last `apply`."""

    def apply(self, verbs: Sequence[Verb[Any]]) -> list[Any]:
        """Do all of ``verbs``, in order, and make them durable together.

        Returns:
            For each verb its result, or the BatonError that refused it; a refused verb changed nothing.

        Raises:
            Unavailable, ResourceExhausted: the storage failed; none of the verbs happened, unless the answer to a
                commit was lost: then nobody knows.
        """

    def close(self) -> None:
        """Release everything. Safe twice."""
