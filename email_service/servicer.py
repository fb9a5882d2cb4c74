"""The service for those who send emails: decode, one call, encode."""

from typing import Any

import grpc

from baton.email.v1 import email_service_pb2 as pb
from baton.email.v1.email_service_pb2_grpc import EmailServiceServicer
from email_service.codec import draft_of, email_message, trace_of
from email_service.errors import EmailNotFound
from email_service.mailer import Mailer
from email_service.storage.base import EmailStore
from mesh import page_token
from mesh.store_thread import StoreThread

Context = grpc.aio.ServicerContext[Any, Any]


class Servicer(EmailServiceServicer):
    """EmailService on a mailer, and on the store for what only reads."""

    def __init__(self, mailer: Mailer, store: EmailStore, thread: StoreThread) -> None:
        self._mailer, self._store, self._thread = mailer, store, thread

    async def SendEmail(self, request: pb.SendEmailRequest, context: Context) -> pb.SendEmailResponse:
        """Send one email."""
        draft = draft_of(request.email, trace_of(context.invocation_metadata() or ()))
        return pb.SendEmailResponse(email=email_message(await self._mailer.deliver(draft)))

    async def GetEmail(self, request: pb.GetEmailRequest, context: Context) -> pb.GetEmailResponse:
        """Read one email."""
        email = await self._thread.run(self._store.find, request.email_id)
        if email is None:
            raise EmailNotFound(request.email_id)
        return pb.GetEmailResponse(email=email_message(email))

    async def ListEmails(self, request: pb.ListEmailsRequest, context: Context) -> pb.ListEmailsResponse:
        """List emails, newest first."""
        position, limit = page_token.decode(request.page_token), page_token.page_size(request.page_size)
        page = await self._thread.run(self._store.page, position, limit, page_token.MAX_PAGE_BYTES, request.to)
        return pb.ListEmailsResponse(
            emails=[email_message(email) for email in page.emails], next_page_token=page_token.encode(page.position)
        )
