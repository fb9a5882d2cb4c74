"""The sign-up service's neighbours, played for tests: they check what they are sent and keep it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc

from baton.email.v1 import email_service_pb2
from baton.email.v1.email_service_pb2_grpc import EmailServiceServicer, add_EmailServiceServicer_to_server
from baton.queue.v1 import consumer_service_pb2, producer_service_pb2, queue_service_pb2  # noqa: F401
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceServicer, add_ProducerServiceServicer_to_server
from mesh.clock import Clock
from mesh.errors import BatonError, NotBuilt
from mesh.field_rules import FieldRules
from mesh.guard import GuardInterceptor
from signup_service import app
from signup_service.app import SignupApplication
from signup_service.settings import SignupSettings

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]
# Long enough for a busy machine, short enough for a test that fails.
PATIENCE = 20.0


class RecordingEmail(EmailServiceServicer):
    """Takes every email, unless told otherwise: each of ``errors`` is the answer to one call."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[email_service_pb2.SendEmailRequest] = asyncio.Queue()
        self.metadata: list[dict[str, str | bytes]] = []
        self.errors: list[BatonError] = []
        self.open = asyncio.Event()
        self.open.set()

    async def SendEmail(
        self, request: email_service_pb2.SendEmailRequest, context: Context
    ) -> email_service_pb2.SendEmailResponse:
        self.metadata.append(dict(context.invocation_metadata() or ()))
        self.requests.put_nowait(request)
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        response = email_service_pb2.SendEmailResponse(email=request.email)
        response.email.email_id = f"email-of-{request.email.correlation_id}"
        response.email.attempts = 1
        return response

    def GetEmail(self, request: Any, context: Context) -> Any:
        raise NotBuilt("GetEmail")

    def ListEmails(self, request: Any, context: Context) -> Any:
        raise NotBuilt("ListEmails")


class RecordingProducer(ProducerServiceServicer):
    """Takes every message, and takes it back unless told otherwise: each of ``refusals`` answers one call."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[producer_service_pb2.SendMessagesRequest] = asyncio.Queue()
        self.cancelled: asyncio.Queue[str] = asyncio.Queue()
        self.refusals: list[BatonError] = []

    async def SendMessages(
        self, request: producer_service_pb2.SendMessagesRequest, context: Context
    ) -> producer_service_pb2.SendMessagesResponse:
        self.requests.put_nowait(request)
        results = [
            producer_service_pb2.SendResult(message_id=f"message-of-{message.deduplication_id}")
            for message in request.messages
        ]
        return producer_service_pb2.SendMessagesResponse(results=results)

    def SendMessage(self, request: Any, context: Context) -> Any:
        raise NotBuilt("SendMessage")

    def StreamSendMessages(self, request_iterator: Any, context: Context) -> Any:
        raise NotBuilt("StreamSendMessages")

    async def CancelMessage(
        self, request: producer_service_pb2.CancelMessageRequest, context: Context
    ) -> producer_service_pb2.CancelMessageResponse:
        self.cancelled.put_nowait(request.message_id)
        if self.refusals:
            raise self.refusals.pop(0)
        return producer_service_pb2.CancelMessageResponse()


class Neighbourhood:
    """The addresses at which the neighbours answer once they are served, and the sign-up service between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.email, self.producer = RecordingEmail(), RecordingProducer()

    def application(self, clock: Clock | None = None, **more: str) -> SignupApplication:
        settings = SignupSettings.model_validate(
            {
                **more,
                "BATON_DATA_DIR": self.folder,
                "BATON_EMAIL_ADDRESS": f"unix:{self.folder}/email.sock",
                "BATON_QUEUE_ADDRESS": f"unix:{self.folder}/queue.sock",
            }
        )
        return app.build(settings, clock=clock)

    @asynccontextmanager
    async def email_service(self) -> AsyncIterator[RecordingEmail]:
        async with _served(f"unix:{self.folder}/email.sock") as server:
            add_EmailServiceServicer_to_server(self.email, server)
            yield self.email

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[RecordingProducer]:
        async with _served(f"unix:{self.folder}/queue.sock") as server:
            add_ProducerServiceServicer_to_server(self.producer, server)
            yield self.producer


@asynccontextmanager
async def _served(address: str) -> AsyncIterator[grpc.aio.Server]:
    server = grpc.aio.server(interceptors=[GuardInterceptor(FieldRules(("email", "queue")))])
    server.add_insecure_port(address)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(None)


async def eventually(read: Callable[[], Awaitable[T]], accept: Callable[[T], bool]) -> T:
    """What ``read`` answers once it is acceptable; every look is a call of its own, so others get their turn."""
    async with asyncio.timeout(PATIENCE):
        while not accept(found := await read()):
            pass
        return found
