"""Reports of outcomes, on their way to a small broker that only keeps what it gets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from baton.email.v1 import email_pb2, email_service_pb2
from baton.email.v1.email_service_pb2_grpc import EmailServiceStub
from baton.queue.v1 import message_pb2
from baton.queue.v1 import producer_service_pb2 as pb
from baton.queue.v1.producer_service_pb2_grpc import ProducerServiceServicer, add_ProducerServiceServicer_to_server
from email_service.app import Application, build
from email_service.failure import Failure, TransportError
from email_service.letter import Letter
from email_service.settings import EmailSettings
from tests.support.running import running

if TYPE_CHECKING:
    from baton.email.v1.email_service_pb2_grpc import EmailServiceAsyncStub

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Broker(ProducerServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[tuple[str, message_pb2.QueueMessage]] = asyncio.Queue()

    async def SendMessages(self, request: pb.SendMessagesRequest, context: Any) -> pb.SendMessagesResponse:
        for message in request.messages:
            self.sent.put_nowait((request.queue, message))
        return pb.SendMessagesResponse(results=[pb.SendResult(message_id="m")] * len(request.messages))

    async def report(self) -> tuple[str, message_pb2.QueueMessage, email_pb2.EmailReport]:
        queue, message = await asyncio.wait_for(self.sent.get(), 20)
        return queue, message, email_pb2.EmailReport.FromString(message.typed.value)

    SendMessage = StreamSendMessages = CancelMessage = None  # type: ignore[assignment]


class RefusingTransport:
    async def send(self, letter: Letter) -> None:
        permanent = letter.recipient.startswith("never")
        raise TransportError(Failure("SMTP_550" if permanent else "SMTP_451", "no", permanent))

    async def close(self) -> None:
        pass


@asynccontextmanager
async def broker_at(address: str) -> AsyncIterator[Broker]:
    broker, server = Broker(), grpc.aio.server()
    add_ProducerServiceServicer_to_server(broker, server)
    server.add_insecure_port(address)
    await server.start()
    try:
        yield broker
    finally:
        await server.stop(None)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"unix:{tmp_path}/queue.sock"


def application(folder: Path, address: str, transport: RefusingTransport | None = None) -> Application:
    settings = EmailSettings.model_validate({"BATON_DATA_DIR": folder, "BATON_QUEUE_ADDRESS": address})
    return build(settings, transport=transport)


async def send(stub: "EmailServiceAsyncStub", to: str = "runner@example.org", queue: str = "email-reports") -> str:
    email = email_pb2.Email(idempotency_key=to, to=to, report_queue=queue, correlation_id="c-1")
    email.plain.subject, email.plain.body = "Hi", "text"
    metadata = (("traceparent", TRACE), ("x-other", "stays here"))
    response = await stub.SendEmail(email_service_pb2.SendEmailRequest(email=email), metadata=metadata)
    return response.email.email_id


async def test_a_sent_email_is_reported(tmp_path: Path, address: str) -> None:
    async with broker_at(address) as broker, running(application(tmp_path, address)) as channel:
        email_id = await send(EmailServiceStub(channel))
        queue, message, report = await broker.report()

    assert queue == "email-reports"
    assert message.typed.type_name == "baton.email.v1.EmailReport"
    assert message.deduplication_id == f"{email_id}:SENT"
    assert dict(message.attributes) == {"traceparent": TRACE}
    assert (report.email_id, report.idempotency_key, report.correlation_id) == (email_id, "runner@example.org", "c-1")
    assert (report.state, report.error) == (email_pb2.Email.State.STATE_SENT, "")
    assert report.report_time.seconds > 0


async def test_only_final_outcomes_with_a_queue_are_reported(tmp_path: Path, address: str) -> None:
    async with (
        broker_at(address) as broker,
        running(application(tmp_path, address, RefusingTransport())) as channel,
    ):
        stub = EmailServiceStub(channel)
        for to, queue in (("later@a.org", "q"), ("never@a.org", ""), ("never@b.org", "q"), ("never@b.org", "q")):
            with pytest.raises(grpc.aio.AioRpcError):
                await send(stub, to, queue)
        _, _, report = await broker.report()

        assert broker.sent.empty()
    assert (report.idempotency_key, report.state) == ("never@b.org", email_pb2.Email.State.STATE_FAILED)
    assert report.error == "SMTP_550: no"


async def test_reports_wait_for_a_broker_that_is_away(tmp_path: Path, address: str) -> None:
    async with running(application(tmp_path, address)) as channel:
        email_id = await send(EmailServiceStub(channel))

        async with broker_at(address) as broker:
            _, _, report = await broker.report()

    assert report.email_id == email_id


async def test_reports_outlive_the_process(tmp_path: Path, address: str) -> None:
    async with running(application(tmp_path, address)) as channel:
        email_id = await send(EmailServiceStub(channel))

    async with broker_at(address) as broker, running(application(tmp_path, address)):
        _, _, report = await broker.report()

    assert report.email_id == email_id
