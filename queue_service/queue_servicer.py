"""QueueService: decode, one call, encode."""

from collections.abc import Callable
from typing import Any

import grpc

from baton.queue.v1 import queue_pb2
from baton.queue.v1 import queue_service_pb2 as pb
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceServicer
from mesh import page_token
from mesh.errors import NotBuilt
from queue_service.broker import Broker
from queue_service.errors import QueueNotFound
from queue_service.queue_definition import Queue
from queue_service.queue_encoding import PushHealth, decode_queue, encode_queue, encode_stats, merge_queue

Context = grpc.aio.ServicerContext[Any, Any]


class QueueServicer(QueueServiceServicer):
    """Makes, shows and changes queues.

    Args:
        broker: what the queues belong to.
        health: the state of a queue's push target; None for a queue that is not pushed.
    """

    def __init__(self, broker: Broker, health: Callable[[str], PushHealth | None]) -> None:
        self._broker = broker
        self._catalog = broker.catalog
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
        queues, last = self._catalog.page(page_token.decode(request.page_token), size)
        token = page_token.encode(last) if last else ""
        return pb.ListQueuesResponse(queues=[self._encode(queue) for queue in queues], next_page_token=token)

    async def UpdateQueue(self, request: pb.UpdateQueueRequest, context: Context) -> pb.UpdateQueueResponse:
        """Change a queue, or make it where the request allows."""

        def change(current: Queue | None) -> Queue:
            if current is not None:
                return merge_queue(current, request.queue, request.update_mask)
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
        stats, now = await self._broker.stats(request.name)
        return pb.GetQueueStatsResponse(stats=encode_stats(stats, now))

    async def PauseQueue(self, request: pb.PauseQueueRequest, context: Context) -> pb.PauseQueueResponse:
        """Not built yet."""
        raise NotBuilt("PauseQueue")

    async def ResumeQueue(self, request: pb.ResumeQueueRequest, context: Context) -> pb.ResumeQueueResponse:
        """Not built yet."""
        raise NotBuilt("ResumeQueue")

    async def PurgeQueue(self, request: pb.PurgeQueueRequest, context: Context) -> pb.PurgeQueueResponse:
        """Not built yet."""
        raise NotBuilt("PurgeQueue")

    async def PeekMessages(self, request: pb.PeekMessagesRequest, context: Context) -> pb.PeekMessagesResponse:
        """Not built yet."""
        raise NotBuilt("PeekMessages")

    async def GetMessage(self, request: pb.GetMessageRequest, context: Context) -> pb.GetMessageResponse:
        """Not built yet."""
        raise NotBuilt("GetMessage")

    async def CreateRedriveTask(
        self, request: pb.CreateRedriveTaskRequest, context: Context
    ) -> pb.CreateRedriveTaskResponse:
        """Not built yet."""
        raise NotBuilt("CreateRedriveTask")

    async def GetRedriveTask(self, request: pb.GetRedriveTaskRequest, context: Context) -> pb.GetRedriveTaskResponse:
        """Not built yet."""
        raise NotBuilt("GetRedriveTask")

    async def ListRedriveTasks(
        self, request: pb.ListRedriveTasksRequest, context: Context
    ) -> pb.ListRedriveTasksResponse:
        """Not built yet."""
        raise NotBuilt("ListRedriveTasks")

    async def CancelRedriveTask(
        self, request: pb.CancelRedriveTaskRequest, context: Context
    ) -> pb.CancelRedriveTaskResponse:
        """Not built yet."""
        raise NotBuilt("CancelRedriveTask")

    def _encode(self, queue: Queue) -> queue_pb2.Queue:
        return encode_queue(queue, self._health(queue.name))
