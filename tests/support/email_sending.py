"""The email service on a mail server, as its callers and the broker use it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from baton.email.v1 import email_pb2, email_service_pb2
from baton.email.v1.email_service_pb2_grpc import EmailServiceStub
from baton.queue.v1 import batch_handler_service_pb2, message_pb2
from baton.queue.v1.batch_handler_service_pb2_grpc import BatchHandlerServiceStub
from email_service.app import Application, build
from email_service.settings import EmailSettings
from tests.support.running import running
from tests.support.watched_clock import WatchedClock

if TYPE_CHECKING:
    from baton.email.v1.email_service_pb2_grpc import EmailServiceAsyncStub

TYPE_NAME = email_service_pb2.SendEmailRequest.DESCRIPTOR.full_name


def request(key: str, *, to: str = "", body: str = ".\n..\nÜ") -> email_service_pb2.SendEmailRequest:
    """An email whose recipient is called like its key, unless told otherwise."""
    plain = email_pb2.PlainEmail(subject="Hi", body=body)
    email = email_pb2.Email(idempotency_key=key, to=to or f"{key}@example.org", plain=plain)
    return email_service_pb2.SendEmailRequest(email=email)


class EmailSending:
    """Both ways of sending, and the service's clock."""

    def __init__(self, application: Application, channel: grpc.aio.Channel, clock: WatchedClock) -> None:
        self.emails: EmailServiceAsyncStub = EmailServiceStub(channel)
        self.application, self.clock = application, clock
        self._batches = BatchHandlerServiceStub(channel)

    async def send(self, key: str, *, timeout: float | None = None, **more: str) -> email_pb2.Email:
        """Send one email by a call."""
        return (await self.emails.SendEmail(request(key, **more), timeout=timeout)).email

    async def batch(self, *keys: str, **more: str) -> dict[str, message_pb2.Settlement]:
        """Send emails as a batch; the settlements by key."""
        batch = batch_handler_service_pb2.DeliverBatchRequest(queue="q", batch_id="b")
        for key in keys:
            value = message_pb2.TypedBody(type_name=TYPE_NAME, value=request(key, **more).SerializeToString())
            batch.messages.add(lease_id=key, message=message_pb2.QueueMessage(typed=value), attempt=1)
        responses = [response async for response in self._batches.DeliverBatch(batch)]
        return {one.lease_id: one for response in responses for one in response.settlements}


@asynccontextmanager
async def email_sending(folder: Path, url: str, **settings: str) -> AsyncIterator[EmailSending]:
    """An email service that hands its mail to the server at ``url``."""
    clock = WatchedClock()
    given = {"BATON_DATA_DIR": folder, "BATON_QUEUE_ADDRESS": "127.0.0.1:1", "BATON_EMAIL_SMTP_URL": url, **settings}
    application = build(EmailSettings.model_validate(given), clock=clock)
    async with running(application, packages=("email",)) as channel:
        yield EmailSending(application, channel, clock)
