"""The email service on a real server, with the outbox as its way out."""

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from baton.email.v1 import email_pb2, email_service_pb2
from baton.email.v1.email_service_pb2_grpc import EmailServiceStub
from email_service.app import build
from email_service.letter import Letter
from email_service.settings import EmailSettings
from email_service.storage.sql import SqlEmailStore
from mesh.errors import BatonError, ResourceExhausted, Unavailable
from mesh.program import StartError
from mesh.status import read_error
from tests.support.fake_clock import START, FakeClock
from tests.support.running import running
from tests.support.watched_clock import WatchedClock

if TYPE_CHECKING:
    from baton.email.v1.email_service_pb2_grpc import EmailServiceAsyncStub

State = email_pb2.Email.State


def settings(folder: Path) -> EmailSettings:
    return EmailSettings.model_validate({"BATON_DATA_DIR": folder, "BATON_QUEUE_ADDRESS": "127.0.0.1:1"})


def confirmation(**changes: object) -> email_pb2.Email:
    email = email_pb2.Email(idempotency_key="k-1", to="runner@example.org")
    email.registration_confirmation.first_name = "Jürgen"
    email.registration_confirmation.race = "Baton Marathon"
    email.registration_confirmation.distance = "half marathon"
    email.registration_confirmation.registration_id = "r-17"
    email.registration_confirmation.start_time.FromSeconds(1_800_000_000)
    email.MergeFrom(email_pb2.Email(**changes))  # type: ignore[arg-type]
    return email


def plain(key: str, *, to: str = "runner@example.org", body: str = "text") -> email_pb2.Email:
    return email_pb2.Email(idempotency_key=key, to=to, plain=email_pb2.PlainEmail(subject="Hi", body=body))


async def send(stub: "EmailServiceAsyncStub", email: email_pb2.Email) -> email_pb2.Email:
    response = await stub.SendEmail(email_service_pb2.SendEmailRequest(email=email))
    return response.email


async def get(stub: "EmailServiceAsyncStub", email_id: str) -> email_pb2.Email:
    response = await stub.GetEmail(email_service_pb2.GetEmailRequest(email_id=email_id))
    return response.email


async def listed(stub: "EmailServiceAsyncStub", **request: object) -> email_service_pb2.ListEmailsResponse:
    return await stub.ListEmails(email_service_pb2.ListEmailsRequest(**request))  # type: ignore[arg-type]


def mails(folder: Path) -> list[Path]:
    return sorted((folder / "outbox").iterdir())


@pytest.fixture
async def stub(tmp_path: Path) -> "AsyncIterator[EmailServiceAsyncStub]":
    async with running(build(settings(tmp_path), clock=FakeClock()), packages=("email",)) as channel:
        yield EmailServiceStub(channel)


async def test_an_email_is_one_whole_readable_file(stub: "EmailServiceAsyncStub", tmp_path: Path) -> None:
    sent = await send(stub, confirmation())

    (path,) = mails(tmp_path)
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    assert body is not None
    assert path.name == f"20260921T141320.000000Z-{sent.email_id}.eml"
    assert message["Subject"] == sent.subject == "You are registered: Baton Marathon, half marathon"
    assert "Jürgen" in body.get_content()
    assert "Friday, 15 January 2027, 08:00 UTC" in body.get_content()


async def test_the_answer_has_every_output_field(stub: "EmailServiceAsyncStub") -> None:
    given = confirmation(correlation_id="c-1", report_queue="email-reports", email_id="mine", attempts=9)

    sent = await send(stub, given)

    assert (sent.state, sent.attempts, sent.last_error) == (State.STATE_SENT, 1, "")
    assert sent.create_time.ToMicroseconds() == sent.send_time.ToMicroseconds() == START
    assert sent.email_id not in ("", "mine")
    assert sent.registration_confirmation == given.registration_confirmation
    assert (sent.correlation_id, sent.report_queue) == ("c-1", "email-reports")
    assert await get(stub, sent.email_id) == sent


async def test_a_repeat_answers_the_same_and_sends_nothing(stub: "EmailServiceAsyncStub", tmp_path: Path) -> None:
    first = await send(stub, confirmation())
    mails(tmp_path)[0].unlink()

    second = await send(stub, confirmation(email_id="output fields are ignored", attempts=7))

    assert second == first
    assert mails(tmp_path) == []


@pytest.mark.parametrize("change", [{"to": "other@example.org"}, {"correlation_id": "c"}, {"report_queue": "q"}])
async def test_other_content_under_the_same_key_is_refused(
    stub: "EmailServiceAsyncStub", tmp_path: Path, change: dict[str, str]
) -> None:
    await send(stub, confirmation())

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(stub, confirmation(**change))

    refusal = read_error(caught.value)
    assert (refusal.code, refusal.reason, refusal.domain) == ("ALREADY_EXISTS", "IDEMPOTENCY_KEY_REUSED", "email.baton")
    assert len(mails(tmp_path)) == 1


async def test_bad_input_is_told_all_at_once_and_stores_nothing(stub: "EmailServiceAsyncStub", tmp_path: Path) -> None:
    bad = email_pb2.Email(to="nobody", report_queue="No Queue", newsletter=email_pb2.Newsletter(headline="h"))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(stub, bad)

    assert read_error(caught.value).reason == "FIELD_INVALID"
    trailers = dict(caught.value.trailing_metadata() or ())
    status = bytes(trailers["grpc-status-details-bin"])
    for field in ("idempotency_key", "to", "report_queue", "newsletter.body", "newsletter.unsubscribe_url"):
        assert f"email.{field}".encode() in status
    assert (await listed(stub)).emails == []
    assert mails(tmp_path) == []


async def test_an_address_no_header_can_carry_is_bad_input(stub: "EmailServiceAsyncStub") -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(stub, plain("k-1", to="=?utf-8?q?a=0D?=@example.org"))

    assert read_error(caught.value).code == "INVALID_ARGUMENT"
    assert "email.to: must not contain =?" in (caught.value.details() or "")


async def test_an_unknown_email_is_not_found(stub: "EmailServiceAsyncStub") -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await get(stub, "nobody")

    assert (read_error(caught.value).code, read_error(caught.value).reason) == ("NOT_FOUND", "EMAIL_NOT_FOUND")


async def test_emails_are_listed_newest_first_page_by_page(stub: "EmailServiceAsyncStub") -> None:
    for number in range(5):
        await send(stub, plain(f"k-{number}"))

    found, token = [], ""
    for size in (2, 2, 1):
        page = await listed(stub, page_size=2, page_token=token)
        found += [email.idempotency_key for email in page.emails]
        token = page.next_page_token
        assert len(page.emails) == size

    assert found == ["k-4", "k-3", "k-2", "k-1", "k-0"]
    assert token == ""


async def test_a_page_never_exceeds_three_mebibytes(stub: "EmailServiceAsyncStub") -> None:
    for number in range(16):
        await send(stub, plain(f"k-{number}", body="ü" * 130_000))

    found, token = 0, ""
    while True:
        page = await listed(stub, page_size=1_000, page_token=token)
        assert page.ByteSize() <= 3 * 1024 * 1024
        found, token = found + len(page.emails), page.next_page_token
        if not token:
            break

    assert found == 16


async def test_a_list_can_be_of_one_address_in_any_letter_case(stub: "EmailServiceAsyncStub") -> None:
    await send(stub, plain("k-1", to="Ann@example.org"))
    await send(stub, plain("k-2", to="bob@example.org"))

    page = await listed(stub, to="ann@EXAMPLE.org")

    assert [email.idempotency_key for email in page.emails] == ["k-1"]


async def test_a_token_of_somebody_elses_is_refused(stub: "EmailServiceAsyncStub") -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await listed(stub, page_token="!")

    assert read_error(caught.value).reason == "FIELD_INVALID"


async def test_an_outbox_that_cannot_be_written_delays_the_email(stub: "EmailServiceAsyncStub", tmp_path: Path) -> None:
    (tmp_path / "outbox").rmdir()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(stub, confirmation())
    refusal = read_error(caught.value)
    (tmp_path / "outbox").mkdir()
    sent = await send(stub, confirmation())

    assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "OUTBOX_FAILED")
    assert (sent.state, sent.attempts) == (State.STATE_SENT, 2)


class HeldTransport:
    """Holds every letter until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.letters: list[Letter] = []

    async def send(self, letter: Letter) -> None:
        self.begun.set()
        await self.go.wait()
        self.letters.append(letter)

    async def close(self) -> None:
        pass


async def test_of_concurrent_repeats_one_sends_and_the_others_are_told_to_wait(tmp_path: Path) -> None:
    transport = HeldTransport()
    async with running(build(settings(tmp_path), transport=transport)) as channel:
        stub = EmailServiceStub(channel)
        calls = [asyncio.create_task(send(stub, confirmation())) for _ in range(5)]
        await transport.begun.wait()
        _, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        while len(waiting) > 1:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(stub, confirmation(correlation_id="other"))
        transport.go.set()
        results = await asyncio.gather(*calls, return_exceptions=True)

    refusals = [read_error(result) for result in results if isinstance(result, grpc.aio.AioRpcError)]
    assert [(refusal.code, refusal.reason) for refusal in refusals] == [("ABORTED", "IN_PROGRESS")] * 4
    assert all(refusal.retry_delay for refusal in refusals)
    assert read_error(caught.value).reason == "IDEMPOTENCY_KEY_REUSED"
    assert len(transport.letters) == 1


async def test_a_send_goes_on_when_its_caller_gives_up(tmp_path: Path) -> None:
    transport = HeldTransport()
    async with running(build(settings(tmp_path), transport=transport)) as channel:
        stub = EmailServiceStub(channel)
        call = stub.SendEmail(email_service_pb2.SendEmailRequest(email=confirmation()))
        await transport.begun.wait()
        call.cancel()
        transport.go.set()

    async with running(build(settings(tmp_path), transport=transport)) as channel:
        sent = await send(EmailServiceStub(channel), confirmation())

    assert (sent.state, sent.attempts) == (State.STATE_SENT, 1)
    assert len(transport.letters) == 1


async def test_an_outcome_that_the_storage_does_not_take_is_kept_until_it_does_and_nothing_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away: list[BatonError] = [Unavailable("STORAGE_UNAVAILABLE", "away"), ResourceExhausted("STORAGE_FULL", "full")]
    conclude = SqlEmailStore.conclude

    def conclude_or_fail(*arguments: Any) -> None:
        if away:
            raise away.pop(0)
        conclude(*arguments)

    monkeypatch.setattr(SqlEmailStore, "conclude", conclude_or_fail)
    transport, clock = HeldTransport(), WatchedClock()
    transport.go.set()
    async with running(build(settings(tmp_path), clock=clock, transport=transport)) as channel:
        first = asyncio.create_task(send(EmailServiceStub(channel), confirmation()))
        pause = await clock.waited_for()
        with pytest.raises(grpc.aio.AioRpcError) as meanwhile:
            await send(EmailServiceStub(channel), confirmation())
        clock.turn(pause)
        clock.turn(await clock.waited_for())
        sent = await first

    assert read_error(meanwhile.value).reason == "IN_PROGRESS"
    assert (sent.state, sent.attempts) == (State.STATE_SENT, 1)
    assert len(transport.letters) == 1


async def test_an_email_of_unknown_outcome_is_sent_again_as_the_same_message(tmp_path: Path) -> None:
    class DyingTransport(HeldTransport):
        async def send(self, letter: Letter) -> None:
            self.letters.append(letter)
            raise RuntimeError("the process dies before the outcome is stored")

    dying, living = DyingTransport(), HeldTransport()
    living.go.set()
    async with running(build(settings(tmp_path), transport=dying)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(EmailServiceStub(channel), confirmation())
    async with running(build(settings(tmp_path), transport=living)) as channel:
        sent = await send(EmailServiceStub(channel), confirmation())

    before, after = (message_from_bytes(t.letters[0].message, policy=policy.default) for t in (dying, living))
    assert read_error(caught.value).code == "INTERNAL"
    assert "dies" not in (caught.value.details() or "")
    assert (sent.state, sent.attempts) == (State.STATE_SENT, 2)
    assert before["Message-ID"] == after["Message-ID"]


async def test_a_database_in_use_stops_the_start(tmp_path: Path) -> None:
    async with running(build(settings(tmp_path))):
        with pytest.raises(StartError, match="in use by another process"):
            build(settings(tmp_path))
