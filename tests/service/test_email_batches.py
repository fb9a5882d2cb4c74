"""Batches as the broker pushes them, on a real server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from baton.email.v1 import email_pb2, email_service_pb2
from baton.email.v1.email_service_pb2_grpc import EmailServiceStub
from baton.queue.v1 import batch_handler_service_pb2 as pb
from baton.queue.v1 import message_pb2
from baton.queue.v1.batch_handler_service_pb2_grpc import BatchHandlerServiceStub
from email_service.app import Application, build
from email_service.failure import Failure, TransportError
from email_service.letter import Letter
from email_service.settings import EmailSettings
from tests.support.fake_clock import FakeClock, FakeTimer
from tests.support.running import running

TYPE_NAME = email_service_pb2.SendEmailRequest.DESCRIPTOR.full_name


class ToldTransport:
    """Answers as it is told, by the recipient's name."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def send(self, letter: Letter) -> None:
        match letter.recipient.partition("@")[0]:
            case "later":
                raise TransportError(Failure("SMTP_451", "the mail server answered 451 later"))
            case "never":
                raise TransportError(Failure("SMTP_550", "the mail server answered 550 never", permanent=True))
            case "broken":
                raise RuntimeError("secret text")
            case "slow":
                self.begun.set()
                await self.go.wait()
        self.letters.append(letter)

    async def close(self) -> None:
        pass


class WatchedClock(FakeClock):
    """A clock that says when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = asyncio.Semaphore(0)

    def call_at(self, when: int, callback: Callable[[], None]) -> FakeTimer:
        self.waiting.release()
        return super().call_at(when, callback)


@pytest.fixture
def transport() -> ToldTransport:
    return ToldTransport()


@pytest.fixture
def clock() -> WatchedClock:
    return WatchedClock()


@pytest.fixture
def application(tmp_path: Path, transport: ToldTransport, clock: FakeClock) -> Application:
    settings = EmailSettings.model_validate({"BATON_DATA_DIR": tmp_path, "BATON_QUEUE_ADDRESS": "127.0.0.1:1"})
    return build(settings, transport=transport, clock=clock)


@pytest.fixture
async def channel(application: Application) -> AsyncIterator[grpc.aio.Channel]:
    async with running(application) as channel:
        yield channel


def request(name: str, **more: str) -> email_service_pb2.SendEmailRequest:
    email = email_pb2.Email(
        idempotency_key=more.get("key", name),
        to=f"{name}@example.org",
        plain=email_pb2.PlainEmail(subject="Hi", body=more.get("body", "text")),
    )
    return email_service_pb2.SendEmailRequest(email=email)


def typed(body: email_service_pb2.SendEmailRequest, type_name: str = TYPE_NAME) -> message_pb2.QueueMessage:
    value = message_pb2.TypedBody(type_name=type_name, value=body.SerializeToString())
    return message_pb2.QueueMessage(typed=value)


def batch(*messages: message_pb2.QueueMessage) -> pb.DeliverBatchRequest:
    request = pb.DeliverBatchRequest(queue="registration-confirmations", batch_id="b-1")
    request.visibility_timeout.FromSeconds(30)
    for number, message in enumerate(messages):
        request.messages.add(lease_id=f"l-{number}", message=message, attempt=1)
    return request


async def settled(channel: grpc.aio.Channel, *messages: message_pb2.QueueMessage) -> list[message_pb2.Settlement]:
    stub = BatchHandlerServiceStub(channel)
    responses = [response async for response in stub.DeliverBatch(batch(*messages))]
    return [settlement for response in responses for settlement in response.settlements]


async def test_each_message_is_settled_by_what_became_of_its_email(
    channel: grpc.aio.Channel, transport: ToldTransport
) -> None:
    broken = message_pb2.QueueMessage(data=b"\xff\xff")
    invalid = email_service_pb2.SendEmailRequest(email=email_pb2.Email(to="nobody"))

    results = await settled(
        channel,
        typed(request("ann")),
        message_pb2.QueueMessage(data=request("bob").SerializeToString()),
        typed(request("later")),
        typed(request("never")),
        typed(request("carl", key="ann")),
        typed(invalid),
        broken,
        typed(request("dora"), type_name="baton.email.v1.EmailReport"),
        message_pb2.QueueMessage(text="hello"),
        typed(request("broken")),
        typed(request("emma")),
    )

    assert [result.lease_id for result in results] == [f"l-{number}" for number in range(11)]
    said = [(result.WhichOneof("action"), result.retry.code or result.reject.code) for result in results]
    assert said == [
        ("ack", ""),
        ("ack", ""),
        ("retry", "SMTP_451"),
        ("reject", "SMTP_550"),
        ("reject", "IDEMPOTENCY_KEY_REUSED"),
        ("reject", "FIELD_INVALID"),
        ("reject", "BODY_INVALID"),
        ("reject", "BODY_INVALID"),
        ("reject", "BODY_INVALID"),
        ("retry", "INTERNAL"),
        ("ack", ""),
    ]
    assert results[2].retry.delay.ToSeconds() == 5
    assert "email.idempotency_key: is required; email.content: is required" in results[5].reject.description
    assert "secret text" not in results[9].retry.description
    assert [letter.recipient for letter in transport.letters] == [
        f"{name}@example.org" for name in ("ann", "bob", "emma")
    ]


async def test_a_message_delivered_twice_makes_one_email(channel: grpc.aio.Channel, transport: ToldTransport) -> None:
    results = await settled(channel, typed(request("ann")), typed(request("ann")))

    assert [result.WhichOneof("action") for result in results] == ["ack", "ack"]
    assert len(transport.letters) == 1


async def test_an_email_that_is_being_sent_elsewhere_is_retried_shortly(
    channel: grpc.aio.Channel, transport: ToldTransport
) -> None:
    call = asyncio.ensure_future(EmailServiceStub(channel).SendEmail(request("slow")))
    await transport.begun.wait()

    (result,) = await settled(channel, typed(request("slow")))
    transport.go.set()
    await call

    assert (result.retry.code, result.retry.delay.ToSeconds()) == ("IN_PROGRESS", 1)


async def test_signs_of_life_come_while_one_email_takes_long(
    channel: grpc.aio.Channel, transport: ToldTransport, clock: WatchedClock
) -> None:
    call = BatchHandlerServiceStub(channel).DeliverBatch(batch(typed(request("ann")), typed(request("slow"))))
    responses = aiter(call)
    first = await anext(responses)
    await clock.waiting.acquire()  # while ann's was sent
    await clock.waiting.acquire()
    await transport.begun.wait()

    clock.turn(10_000_000)
    second = await anext(responses)
    await clock.waiting.acquire()
    clock.turn(10_000_000)
    third = await anext(responses)
    transport.go.set()
    rest = [response async for response in responses]

    assert [settlement.lease_id for settlement in first.settlements] == ["l-0"]
    assert (len(second.settlements), len(third.settlements)) == (0, 0)
    assert [settlement.lease_id for response in rest for settlement in response.settlements] == ["l-1"]


async def test_a_drain_ends_the_email_under_way_and_gives_the_rest_back(
    channel: grpc.aio.Channel, application: Application, transport: ToldTransport
) -> None:
    messages = [typed(request(name)) for name in ("slow", "ann", "bob")]
    call = asyncio.create_task(settled(channel, *messages))
    await transport.begun.wait()

    await application.drain()
    transport.go.set()

    assert [result.WhichOneof("action") for result in await call] == ["ack", "release", "release"]
    assert [letter.recipient for letter in transport.letters] == ["slow@example.org"]


async def test_an_email_under_way_ends_well_when_the_broker_breaks_off(
    channel: grpc.aio.Channel, transport: ToldTransport
) -> None:
    call = BatchHandlerServiceStub(channel).DeliverBatch(batch(typed(request("slow")), typed(request("ann"))))
    reading = asyncio.ensure_future(anext(aiter(call)))
    await transport.begun.wait()
    call.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    transport.go.set()

    (result,) = await settled(channel, typed(request("bob")))
    while not (answer := await settled(channel, typed(request("slow"))))[0].HasField("ack"):
        assert answer[0].retry.code == "IN_PROGRESS"

    assert result.HasField("ack")
    assert sorted(letter.recipient for letter in transport.letters) == ["bob@example.org", "slow@example.org"]


async def test_no_method_of_either_service_is_missing(channel: grpc.aio.Channel) -> None:
    emails, batches = EmailServiceStub(channel), BatchHandlerServiceStub(channel)

    calls: list[Any] = [
        emails.SendEmail(email_service_pb2.SendEmailRequest()),
        emails.GetEmail(email_service_pb2.GetEmailRequest()),
        emails.ListEmails(email_service_pb2.ListEmailsRequest()),
    ]
    await asyncio.gather(*calls, return_exceptions=True)
    codes = [await call.code() for call in calls]
    responses = [response async for response in batches.DeliverBatch(pb.DeliverBatchRequest())]

    bad, ok = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OK
    assert (codes, responses) == ([bad, bad, ok], [])
