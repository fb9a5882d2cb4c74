"""Letters through the whole service to a real mail server: addresses of every kind, and all four contents."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from baton.email.v1 import email_pb2, email_service_pb2
from baton.email.v1.email_service_pb2_grpc import EmailServiceStub
from email_service.app import build
from email_service.settings import EmailSettings
from mesh.status import read_error
from tests.support.fake_clock import FakeClock
from tests.support.letters import calendar, part
from tests.support.running import running
from tests.support.smtp_server import SmtpServer, smtp_server

if TYPE_CHECKING:
    from baton.email.v1.email_service_pb2_grpc import EmailServiceAsyncStub

PLAIN = email_pb2.PlainEmail(subject="Grüße", body=".\n..\nÜ \nend")
LONGEST = "a" * 64 + "@" + ".".join(["b" * 61] * 3) + ".exm"
START = Timestamp(seconds=1_800_000_000)

# An address, and how the mail server hears it: with SMTPUTF8, and without (None: it cannot be sent there).
ADDRESSES = [
    ("runner@example.org", "runner@example.org", "runner@example.org"),
    ("runner@straße.example", "runner@xn--strae-oqa.example", "runner@xn--strae-oqa.example"),
    ("r@例え.テスト", "r@xn--r8jz45g.xn--zckzah", "r@xn--r8jz45g.xn--zckzah"),
    ('"a,b;c"@example.org', '"a,b;c"@example.org', '"a,b;c"@example.org'),
    ("o'neil+x@example.org", "o'neil+x@example.org", "o'neil+x@example.org"),
    (LONGEST, LONGEST, LONGEST),
    ("jürgen@straße.example", "jürgen@xn--strae-oqa.example", None),
    ("用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v", None),
]


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpServer]:
    async with smtp_server() as server:
        yield server


@asynccontextmanager
async def serving(folder: Path, smtp: SmtpServer) -> "AsyncIterator[EmailServiceAsyncStub]":
    given = {"BATON_DATA_DIR": folder, "BATON_QUEUE_ADDRESS": "127.0.0.1:1", "BATON_EMAIL_SMTP_URL": smtp.url}
    application = build(EmailSettings.model_validate(given), clock=FakeClock())
    async with running(application, packages=("email",)) as channel:
        yield EmailServiceStub(channel)


async def send(stub: "EmailServiceAsyncStub", **fields: object) -> email_pb2.Email:
    email = email_pb2.Email(**{"idempotency_key": "k-1", "to": "runner@example.org", **fields})  # type: ignore[arg-type]
    return (await stub.SendEmail(email_service_pb2.SendEmailRequest(email=email))).email


@pytest.mark.parametrize(("to", "heard", "_"), ADDRESSES)
async def test_a_server_with_smtputf8_takes_every_address(
    tmp_path: Path, smtp: SmtpServer, to: str, heard: str, _: object
) -> None:
    async with serving(tmp_path, smtp) as stub:
        sent = await send(stub, to=to, plain=PLAIN)

    (mail,) = smtp.mails
    assert sent.state == email_pb2.Email.STATE_SENT
    assert (sent.to, mail.recipient) == (to, heard)
    assert mail.message["Subject"] == "Grüße"
    assert mail.text.replace("\r\n", "\n") == ".\n..\nÜ \nend\n"


@pytest.mark.parametrize(("to", "_", "heard"), ADDRESSES)
async def test_a_server_without_smtputf8_takes_what_has_an_ascii_form(
    tmp_path: Path, smtp: SmtpServer, to: str, _: object, heard: str | None
) -> None:
    smtp.smtputf8 = False

    async with serving(tmp_path, smtp) as stub:
        if heard is not None:
            await send(stub, to=to, plain=PLAIN)
        else:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await send(stub, to=to, plain=PLAIN)
            assert read_error(caught.value).code == "FAILED_PRECONDITION"

    assert smtp.recipients == ([] if heard is None else [heard])


async def test_a_cancellation_carries_the_event_of_its_confirmation(tmp_path: Path, smtp: SmtpServer) -> None:
    confirmation = email_pb2.RegistrationConfirmation(
        first_name="Ann", race="Race", distance="10 km", registration_id="r-1", start_time=START, location="Square"
    )
    cancellation = email_pb2.RegistrationCancellation(
        first_name="Ann", race="Race", distance="10 km", registration_id="r-1", start_time=START, reason="You asked."
    )

    async with serving(tmp_path, smtp) as stub:
        await send(stub, registration_confirmation=confirmation)
        cancelled = await send(stub, idempotency_key="k-2", registration_cancellation=cancellation)
        repeated = await send(stub, idempotency_key="k-2", registration_cancellation=cancellation)

    files = [calendar(mail.message) for mail in smtp.mails]
    events = [dict(line.split(":", 1) for line in str(f and f.get_content()).splitlines()) for f in files]
    assert [(event["METHOD"], event["SEQUENCE"]) for event in events] == [("PUBLISH", "0"), ("CANCEL", "1")]
    assert events[0]["UID"] == events[1]["UID"]
    assert events[0]["DTSTART"] == events[1]["DTSTART"] == "20270115T080000Z"
    assert cancelled.registration_cancellation == repeated.registration_cancellation == cancellation


async def test_a_newsletter_says_how_to_leave_in_header_text_and_page(tmp_path: Path, smtp: SmtpServer) -> None:
    newsletter = email_pb2.Newsletter(headline="News", body="text", unsubscribe_url="https://bücher.example/u?r=ü&x='")

    async with serving(tmp_path, smtp) as stub:
        sent = await send(stub, newsletter=newsletter)

    (mail,) = smtp.mails
    address = "https://xn--bcher-kva.example/u?r=%C3%BC&x='"
    assert mail.message["List-Unsubscribe"] == f"<{address}>"
    assert mail.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f"No more newsletters: {address}" in mail.text
    assert f'href="{address.replace("&", "&amp;").replace(chr(39), "&#39;")}"' in part(mail.message, "html")
    assert sent.newsletter == newsletter


async def test_every_address_no_mail_can_carry_is_named_at_once(tmp_path: Path, smtp: SmtpServer) -> None:
    newsletter = email_pb2.Newsletter(headline="News", body="text", unsubscribe_url="https://ü..example/")

    async with serving(tmp_path, smtp) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(stub, newsletter=newsletter)

    error = read_error(caught.value)
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert "email.newsletter.unsubscribe_url: must name a host that has an ASCII form" in error.message
    assert smtp.mails == []


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "https://", "https://a b", 'https://a"b', "https://a>b", "https://a\nb", "//example.org"],
)
async def test_an_unsubscribe_address_of_another_kind_is_refused(tmp_path: Path, smtp: SmtpServer, url: str) -> None:
    async with serving(tmp_path, smtp) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(stub, newsletter=email_pb2.Newsletter(headline="News", body="text", unsubscribe_url=url))

    assert read_error(caught.value).code == "INVALID_ARGUMENT"
    assert smtp.mails == []
