"""QueueService: decode, one call, encode."""

from collections.abc import Callable
from typing import Any

import grpc

from baton.queue.v1 import queue_pb2
from baton.queue.v1 import queue_service_pb2 as pb
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceServicer
from mesh import page_token
from mesh.field_rules import FieldRules
from mesh.wire_time import duration_of, instant_of
from queue_service.broker import Broker
from queue_service.errors import QueueNotFound
from queue_service.peek_encoding import decode_filter, decode_position, encode_peeked, encode_position
from queue_service.queue_definition import Queue
from queue_service.queue_encoding import (
    PushHealth,
    checked_paths,
    decode_queue,
    encode_queue,
    encode_stats,
    merge_queue,
)
from queue_service.redrive_encoding import decode_redrive_task, encode_redrive_task
from queue_service.redriver import Redriver
from queue_service.storage.views import Filter

Context = grpc.aio.ServicerContext[Any, Any]

# What page tokens are for.
_QUEUES, _TASKS = "queues", "redrive tasks"


class QueueServicer(QueueServiceServicer):
    """Makes, shows and changes queues.

    Args:
        broker: what the queues belong to.
        redriver: what sends dead letters back.
        rules: the field rules, for what an update makes of a queue.
        health: the state of a queue's push target; None for a queue that is not pushed.
    """

    def __init__(
        self, broker: Broker, redriver: Redriver, rules: FieldRules, health: Callable[[str], PushHealth | None]
    ) -> None:
        self._redriver, self._rules = redriver, rules
        self._catalog, self._backlog = broker.catalog, broker.backlog
        self._health = health

    async def CreateQueue(self, request: pb.CreateQueueRequest, context: Context) -> pb.CreateQueueResponse:
        """Make a queue."""
        queue = await self._catalog.create(decode_queue(request.queue), validate_only=request.validate_only)
        return pb.CreateQueueResponse(queue=self._encode(queue))

    async def GetQueue(self, request: pb.GetQueueRequest, context: Context) -> pb.GetQueueResponse:
        """Show a queue."""
        return pb.GetQueueResponse(queue=self._encode(self._catalog.get(request.name)))

    async def ListQueues(self, request: pb.ListQueuesRequest, context: Context) -> pb.ListQueuesResponse:
        """Show queues, by name."""
        size = page_token.page_size(request.page_size)
        queues, last = self._catalog.page(page_token.decode(request.page_token, _QUEUES), size)
        names = [queue.name for queue in queues]
        page, token = page_token.cut([self._encode(queue) for queue in queues], names, last, _QUEUES)
        return pb.ListQueuesResponse(queues=page, next_page_token=token)

    async def UpdateQueue(self, request: pb.UpdateQueueRequest, context: Context) -> pb.UpdateQueueResponse:
        """Change a queue, or make it where the request allows."""
        paths = checked_paths(request.update_mask)

        def change(current: Queue | None) -> Queue:
            if current is not None:
                return merge_queue(current, request.queue, paths, self._rules)
            if not request.allow_missing:
                raise QueueNotFound(request.queue.name)
            return decode_queue(request.queue)

        queue = await self._catalog.update(
            request.queue.name, change, etag=request.queue.etag, validate_only=request.validate_only
        )
        return pb.UpdateQueueResponse(queue=self._encode(queue))

    async def DeleteQueue(self, request: pb.DeleteQueueRequest, context: Context) -> pb.DeleteQueueResponse:
        """Delete a queue."""
        await self._catalog.delete(request.name, etag=request.etag, force=request.force)
        return pb.DeleteQueueResponse()

    async def GetQueueStats(self, request: pb.GetQueueStatsRequest, context: Context) -> pb.GetQueueStatsResponse:
        """Show a queue's figures."""
        stats, now = await self._backlog.stats(request.name)
        return pb.GetQueueStatsResponse(stats=encode_stats(stats, now))

    async def PauseQueue(self, request: pb.PauseQueueRequest, context: Context) -> pb.PauseQueueResponse:
        """Hold a queue back."""
        ttl = duration_of(request.ttl) if request.HasField("ttl") else None
        return pb.PauseQueueResponse(queue=self._encode(await self._backlog.pause(request.name, request.reason, ttl)))

    async def ResumeQueue(self, request: pb.ResumeQueueRequest, context: Context) -> pb.ResumeQueueResponse:
        """Let a queue go on."""
        return pb.ResumeQueueResponse(queue=self._encode(await self._backlog.resume(request.name)))

    async def PurgeQueue(self, request: pb.PurgeQueueRequest, context: Context) -> pb.PurgeQueueResponse:
        """Remove messages, or count them."""
        before = instant_of(request.sent_before) if request.HasField("sent_before") else None
        wanted = Filter(codes=frozenset(request.codes), message_ids=frozenset(request.message_ids), sent_before=before)
        return pb.PurgeQueueResponse(purge_count=await self._backlog.purge(request.name, wanted, force=request.force))

    async def PeekMessages(self, request: pb.PeekMessagesRequest, context: Context) -> pb.PeekMessagesResponse:
        """Look at messages."""
        size = page_token.page_size(request.page_size)
        wanted = decode_filter(request.states, request.codes)
        found, more = await self._backlog.peek(
            request.name, wanted, size, decode_position(request.page_token, request.name)
        )
        return pb.PeekMessagesResponse(
            messages=[encode_peeked(peeked, without_body=request.without_bodies) for peeked in found],
            next_page_token=encode_position(found[-1], request.name) if more else "",
        )

    async def GetMessage(self, request: pb.GetMessageRequest, context: Context) -> pb.GetMessageResponse:
        """Look at one message."""
        return pb.GetMessageResponse(message=encode_peeked(await self._backlog.get(request.queue, request.message_id)))

    async def CreateRedriveTask(
        self, request: pb.CreateRedriveTaskRequest, context: Context
    ) -> pb.CreateRedriveTaskResponse:
        """Send dead letters back."""
        wanted = decode_redrive_task(request.redrive_task)
        task = await self._redriver.create(wanted, validate_only=request.validate_only)
        return pb.CreateRedriveTaskResponse(redrive_task=encode_redrive_task(task))

    async def GetRedriveTask(self, request: pb.GetRedriveTaskRequest, context: Context) -> pb.GetRedriveTaskResponse:
        """Show how far a redrive got."""
        task = await self._redriver.seen(self._redriver.get(request.redrive_task_id))
        return pb.GetRedriveTaskResponse(redrive_task=encode_redrive_task(task))

    async def ListRedriveTasks(
        self, request: pb.ListRedriveTasksRequest, context: Context
    ) -> pb.ListRedriveTasksResponse:
        """Show redrives."""
        size = page_token.page_size(request.page_size)
        tasks, last = self._redriver.page(request.queue, page_token.decode(request.page_token, _TASKS), size)
        ids = [task.redrive_task_id for task in tasks]
        seen = [encode_redrive_task(await self._redriver.seen(task)) for task in tasks]
        page, token = page_token.cut(seen, ids, last, _TASKS)
        return pb.ListRedriveTasksResponse(redrive_tasks=page, next_page_token=token)

    async def CancelRedriveTask(
        self, request: pb.CancelRedriveTaskRequest, context: Context
    ) -> pb.CancelRedriveTaskResponse:
        """Stop a redrive."""
        task = await self._redriver.cancel(request.redrive_task_id)
        return pb.CancelRedriveTaskResponse(redrive_task=encode_redrive_task(task))

    def _encode(self, queue: Queue) -> queue_pb2.Queue:
        return encode_queue(queue, self._backlog.now(), self._health(queue.name))
