"""Batches that the broker pushes: several emails at a time, each settled as soon as it is done."""

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
from email_service.sending_places import SendingPlaces
from mesh.clock import Clock, microseconds, sleep
from mesh.field_rules import FieldRules

# What a batch without a visibility_timeout is taken to have.
_DEFAULT_VISIBILITY = timedelta(seconds=30)
# Answers within one visibility timeout: one may get lost on a slow way, and the leases still live.
_SIGNS_OF_LIFE = 3

Context = grpc.aio.ServicerContext[Any, Any]
Settling = set[asyncio.Task[message_pb2.Settlement]]


class BatchHandler(BatchHandlerServiceServicer):
    """BatchHandlerService on a mailer.

    Args:
        mailer: sends.
        rules: of the email contract; the broker passes bodies on unread.
        clock: for the signs of life while one email takes long.
        at_once: how many emails are sent at a time, over all batches.
    """

    def __init__(self, mailer: Mailer, rules: FieldRules, clock: Clock, at_once: int) -> None:
        self._mailer, self._rules, self._clock = mailer, rules, clock
        self._places = SendingPlaces(at_once)

    def drain(self) -> None:
        """Begin no further email; those not begun go back untried."""
        self._places.close()

    async def DeliverBatch(
        self, request: pb.DeliverBatchRequest, context: Context
    ) -> AsyncIterator[pb.DeliverBatchResponse]:
        """Send every email of a batch; an empty response is a sign of life."""
        interval = _interval(request)
        left = {asyncio.create_task(self._settled(leased)) for leased in request.messages}
        try:
            while left:
                done, left = await self._wait(left, interval)
                yield pb.DeliverBatchResponse(settlements=[task.result() for task in done])
        finally:
            for task in left:
                task.cancel()  # when the broker ended the call; a send that has begun goes on in the mailer

    async def _settled(self, leased: message_pb2.LeasedMessage) -> message_pb2.Settlement:
        if not await self._places.take():
            return release(leased.lease_id)
        try:
            await self._mailer.deliver(draft_in(leased.message, self._rules))
        except Exception as error:  # one email must not spoil its neighbours
            return refusal(leased.lease_id, error)
        finally:
            self._places.leave()
        return ack(leased.lease_id)

    async def _wait(self, tasks: Settling, interval: int) -> tuple[Settling, Settling]:
        """Those that are done and those that are not, as soon as one is done or the interval has passed."""
        pause = asyncio.create_task(sleep(self._clock, interval))
        try:
            await asyncio.wait({*tasks, pause}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
        done = {task for task in tasks if task.done()}
        return done, tasks - done


def _interval(request: pb.DeliverBatchRequest) -> int:
    given = request.visibility_timeout.ToTimedelta()
    return microseconds((given if given > timedelta() else _DEFAULT_VISIBILITY) / _SIGNS_OF_LIFE)
