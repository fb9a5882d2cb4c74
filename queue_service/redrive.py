"""Redrive: dead letters sent back to where they came from, as a task that outlives the broker."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from queue_service.message import Message
from queue_service.queue_definition import Queue


class RedriveState(IntEnum):
    """Where a task stands; the contract's numbers, which are stored."""

    RUNNING = 1
    SUCCEEDED = 2
    CANCELLED = 3
    FAILED = 4


@dataclass(frozen=True, slots=True)
class RedriveTask:
    """What is to be moved, and how far it got.

    Only messages that were there at ``create_time`` move, in the order of their ids; ``position`` is the last one that
    did, so that no step looks again at what an earlier one left. ``error`` says why a FAILED task stopped.
    """

    redrive_task_id: str
    queue: str
    destination: str
    codes: frozenset[str]
    message_ids: frozenset[str]
    max_messages_per_second: float
    max_messages: int
    create_time: int
    state: RedriveState = RedriveState.RUNNING
    moved_count: int = 0
    total_count: int = 0
    error: str = ""
    position: str = ""

    @property
    def left(self) -> int:
        """How many more messages it may move."""
        return max(0, self.max_messages - self.moved_count) if self.max_messages else 1 << 62

    def moved(self, message_ids: Sequence[str], *, finished: bool) -> "RedriveTask":
        """The task after a step that moved these, in order."""
        position = message_ids[-1] if message_ids else self.position
        after = replace(self, moved_count=self.moved_count + len(message_ids), position=position)
        return replace(after, state=RedriveState.SUCCEEDED) if finished or not after.left else after

    def failed(self, error: str) -> "RedriveTask":
        """The task, stopped by what it met."""
        return replace(self, state=RedriveState.FAILED, error=error)


def destination_of(task: RedriveTask, message: Message) -> str:
    """The queue that a message goes back to; empty when nothing says which."""
    return task.destination or (message.dead_letter.source_queue if message.dead_letter else "")


def nowhere_to_go(message_id: str, destination: str) -> str:
    """Why a task stops at a message whose queue is not there."""
    if not destination:
        return f"message {message_id} was never dead-lettered and has no queue to go back to: name a destination"
    return f"message {message_id} has no queue to go back to: {destination!r} is not there"


def redriven(message: Message, destination: Queue, now: int) -> Message:
    """The message as its old queue takes it back: its times begin anew, its story stays.

    One that was not to be delivered yet is still not to be: a redrive makes nothing early.
    """
    story = message.dead_letter
    later = message.deliver_time if message.deliver_time is not None and message.deliver_time > now else None
    return message._replace(
        send_time=now,
        deliver_time=later,
        expire_time=(later or now) + destination.message_retention,
        dead_letter=None if story is None else replace(story, redrive_count=story.redrive_count + 1),
    )
