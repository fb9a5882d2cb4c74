"""Redrive tasks between protobuf and domain."""

from baton.queue.v1 import queue_pb2 as pb
from mesh.wire_time import instant_to
from queue_service.errors import RedriveFailed
from queue_service.redrive import RedriveTask
from queue_service.status_encoding import encode_status


def decode_redrive_task(task: pb.RedriveTask) -> RedriveTask:
    """A task as a caller wants it; what it comes to is not the caller's to say."""
    return RedriveTask(
        redrive_task_id=task.redrive_task_id,
        queue=task.queue,
        destination=task.destination,
        codes=frozenset(task.codes),
        message_ids=frozenset(task.message_ids),
        max_messages_per_second=task.max_messages_per_second,
        max_messages=task.max_messages,
        create_time=0,
    )


def encode_redrive_task(task: RedriveTask) -> pb.RedriveTask:
    """A task as it stands."""
    encoded = pb.RedriveTask(
        redrive_task_id=task.redrive_task_id,
        queue=task.queue,
        destination=task.destination,
        codes=sorted(task.codes),
        message_ids=sorted(task.message_ids),
        max_messages_per_second=task.max_messages_per_second,
        max_messages=task.max_messages,
        state=pb.RedriveTask.State.ValueType(int(task.state)),
        moved_count=task.moved_count,
        total_count=task.total_count,
        create_time=instant_to(task.create_time),
    )
    if task.error:
        encoded.error.CopyFrom(encode_status(RedriveFailed(task.redrive_task_id, task.error)))
    return encoded
