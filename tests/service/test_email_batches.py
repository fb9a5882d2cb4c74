"""Batches as the broker pushes them, on a real server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
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
from email_service.failure import Failure, HeldBackError, TransportError
from email_service.letter import Letter
from email_service.outbox_transport import AT_ONCE
from email_service.settings import EmailSettings
from tests.support.fake_clock import FakeClock, FakeTimer
from tests.support.running import running

TYPE_NAME = email_service_pb2.SendEmailRequest.DESCRIPTOR.full_name


class ToldTransport:
    """Answers as it is told, by the recipient's name."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.held_back = self.most_at_once = self._at_once = 0
        self._changed = asyncio.Condition()

    async def have_begun(self, count: int) -> None:
        """Wait until so many letters are under way."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._at_once >= count)

    async def send(self, letter: Letter) -> None:
        async with self._changed:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._changed.notify_all()
        try:
            await self._send(letter)
        finally:
            self._at_once -= 1

    async def _send(self, letter: Letter) -> None:
        if self.held_back:
            self.held_back -= 1
            raise HeldBackError("not yet", timedelta(seconds=7))
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


def enumerated(name: str, count: int) -> list[tuple[str, str]]:
    return [(f"k-{number}", name) for number in range(count)]


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

    results.sort(key=lambda result: int(result.lease_id.removeprefix("l-")))
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
    assert sorted(letter.recipient for letter in transport.letters) == [
        f"{name}@example.org" for name in ("ann", "bob", "emma")
    ]


async def test_a_message_delivered_twice_makes_one_email(channel: grpc.aio.Channel, transport: ToldTransport) -> None:
    results = await settled(channel, typed(request("ann")), typed(request("ann")))

    actions = {result.WhichOneof("action") for result in results}
    assert "ack" in actions
    assert actions <= {"ack", "release"}
    assert len(transport.letters) == 1


async def test_an_email_that_is_being_sent_elsewhere_comes_back_shortly_at_no_cost(
    channel: grpc.aio.Channel, transport: ToldTransport
) -> None:
    call = asyncio.ensure_future(EmailServiceStub(channel).SendEmail(request("slow")))
    await transport.begun.wait()

    (result,) = await settled(channel, typed(request("slow")))
    transport.go.set()
    await call

    assert result.release.delay.ToSeconds() == 1
    assert len(transport.letters) == 1


async def test_signs_of_life_come_while_one_email_takes_long(
    channel: grpc.aio.Channel, transport: ToldTransport, clock: WatchedClock
) -> None:
    call = BatchHandlerServiceStub(channel).DeliverBatch(batch(typed(request("ann")), typed(request("slow"))))
    responses = aiter(call)
    first = await anext(responses)
    await clock.waiting.acquire()  # while ann's was sent
    await clock.waiting.acquire()

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
    messages = [
        typed(request(name, key=key)) for key, name in [*enumerated("slow", AT_ONCE), ("a", "ann"), ("b", "bob")]
    ]
    call = BatchHandlerServiceStub(channel).DeliverBatch(batch(*messages))
    responses = aiter(call)
    await transport.have_begun(AT_ONCE)

    await application.drain()
    given_back: list[message_pb2.Settlement] = []
    while len(given_back) < 2:
        given_back += (await anext(responses)).settlements
    transport.go.set()
    rest = [settlement async for response in responses for settlement in response.settlements]

    assert {(result.lease_id, result.WhichOneof("action")) for result in given_back} == {
        (f"l-{AT_ONCE}", "release"),
        (f"l-{AT_ONCE + 1}", "release"),
    }
    assert [result.WhichOneof("action") for result in rest] == ["ack"] * AT_ONCE
    assert {letter.recipient for letter in transport.letters} == {"slow@example.org"}


async def test_what_comes_after_a_drain_goes_back_untried(
    channel: grpc.aio.Channel, application: Application, transport: ToldTransport
) -> None:
    await application.drain()

    (result,) = await settled(channel, typed(request("ann")))

    assert result.HasField("release")
    assert transport.letters == []


async def test_an_email_that_hangs_holds_up_no_other(channel: grpc.aio.Channel, transport: ToldTransport) -> None:
    names = ["slow", *(f"runner-{number}" for number in range(20))]
    responses = aiter(BatchHandlerServiceStub(channel).DeliverBatch(batch(*(typed(request(name)) for name in names))))

    settled_first: list[str] = []
    while len(settled_first) < len(names) - 1:
        settled_first += [settlement.lease_id for settlement in (await anext(responses)).settlements]
    transport.go.set()
    last = [settlement.lease_id async for response in responses for settlement in response.settlements]

    assert (len(settled_first), last) == (len(names) - 1, ["l-0"])


async def test_so_many_emails_are_sent_at_a_time_over_all_batches(
    channel: grpc.aio.Channel, transport: ToldTransport
) -> None:
    keys = [key for key, _ in enumerated("slow", 3 * AT_ONCE)]
    half = len(keys) // 2
    calls = [
        asyncio.create_task(settled(channel, *(typed(request("slow", key=key)) for key in part)))
        for part in (keys[:half], keys[half:])
    ]
    await transport.have_begun(AT_ONCE)

    transport.go.set()
    results = [result for call in calls for result in await call]

    assert transport.most_at_once == AT_ONCE
    assert {result.WhichOneof("action") for result in results} == {"ack"}
    assert len(transport.letters) == len(keys)


async def test_an_email_held_back_goes_back_until_its_turn_and_counts_no_attempt(
    channel: grpc.aio.Channel, transport: ToldTransport
) -> None:
    transport.held_back = 2

    first, second, third = [(await settled(channel, typed(request("ann"))))[0] for _ in range(3)]

    assert [first.release.delay.ToTimedelta(), second.release.delay.ToTimedelta()] == [timedelta(seconds=7)] * 2
    assert third.HasField("ack")
    page = await EmailServiceStub(channel).ListEmails(email_service_pb2.ListEmailsRequest())
    assert [email.attempts for email in page.emails] == [1]


async def test_an_email_under_way_ends_well_when_the_broker_breaks_off(
    channel: grpc.aio.Channel, transport: ToldTransport
) -> None:
    keys = [key for key, _ in enumerated("slow", AT_ONCE + 1)]
    call = BatchHandlerServiceStub(channel).DeliverBatch(batch(*(typed(request("slow", key=key)) for key in keys)))
    reading = asyncio.ensure_future(anext(aiter(call)))
    await transport.have_begun(AT_ONCE)
    call.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    transport.go.set()

    (result,) = await settled(channel, typed(request("bob")))
    for key in keys[:AT_ONCE]:
        while not (answer := await settled(channel, typed(request("slow", key=key))))[0].HasField("ack"):
            assert answer[0].HasField("release")

    assert result.HasField("ack")
    recipients = [letter.recipient for letter in transport.letters]
    assert sorted(recipients) == ["bob@example.org", *["slow@example.org"] * AT_ONCE]


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
