"""Batches that the broker pushes: one email after the other, each settled as soon as it is done."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc

from baton.queue.v1 import batch_handler_service_pb2 as pb
from baton.queue.v1 import message_pb2
from baton.queue.v1.batch_handler_service_pb2_grpc import BatchHandlerServiceServicer
from email_service.mailer import Mailer
from email_service.queued_email import ack, draft_in, refusal, release
from mesh.clock import Clock, microseconds, sleep_until
from mesh.field_rules import FieldRules

# What a batch without a visibility_timeout is taken to have.
_DEFAULT_VISIBILITY = timedelta(seconds=30)
# Answers within one visibility timeout: one may get lost on a slow way, and the leases still live.
_SIGNS_OF_LIFE = 3

Context = grpc.aio.ServicerContext[Any, Any]


class BatchHandler(BatchHandlerServiceServicer):
    """BatchHandlerService on a mailer.

    Args:
        mailer: sends.
        rules: of the email contract; the broker passes bodies on unread.
        clock: for the signs of life while one email takes long.
    """

    def __init__(self, mailer: Mailer, rules: FieldRules, clock: Clock) -> None:
        self._mailer, self._rules, self._clock = mailer, rules, clock
        self._draining = False

    def drain(self) -> None:
        """Begin no further email; those not begun go back untried."""
        self._draining = True

    async def DeliverBatch(
        self, request: pb.DeliverBatchRequest, context: Context
    ) -> AsyncIterator[pb.DeliverBatchResponse]:
        """Send every email of a batch."""
        interval = _interval(request)
        for leased in request.messages:
            if self._draining:
                yield pb.DeliverBatchResponse(settlements=[release(leased.lease_id)])
                continue
            async for response in self._settled(leased, interval):
                yield response

    async def _settled(
        self, leased: message_pb2.LeasedMessage, interval: int
    ) -> AsyncIterator[pb.DeliverBatchResponse]:
        task = asyncio.create_task(self._settle(leased))
        try:
            while not await self._done_within(task, interval):
                yield pb.DeliverBatchResponse()
            yield pb.DeliverBatchResponse(settlements=[task.result()])
        finally:
            task.cancel()  # when the broker ended the call; a send that has begun goes on in the mailer

    async def _settle(self, leased: message_pb2.LeasedMessage) -> message_pb2.Settlement:
        try:
            await self._mailer.deliver(draft_in(leased.message, self._rules))
        except Exception as error:  # one email must not spoil its neighbours
            return refusal(leased.lease_id, error)
        return ack(leased.lease_id)

    async def _done_within(self, task: asyncio.Task[message_pb2.Settlement], interval: int) -> bool:
        pause = asyncio.create_task(sleep_until(self._clock, self._clock.now() + interval))
        try:
            await asyncio.wait({task, pause}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
        return task.done()


def _interval(request: pb.DeliverBatchRequest) -> int:
    given = request.visibility_timeout.ToTimedelta()
    return microseconds((given if given > timedelta() else _DEFAULT_VISIBILITY) / _SIGNS_OF_LIFE)
