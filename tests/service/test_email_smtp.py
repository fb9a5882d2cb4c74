"""The email service on a real server, with a real mail server behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from baton.email.v1 import email_pb2, email_service_pb2
from baton.email.v1.email_service_pb2_grpc import EmailServiceStub
from email_service.app import build
from email_service.settings import EmailSettings
from mesh.status import RemoteError, read_error
from tests.support.fake_clock import FakeClock
from tests.support.running import running

if TYPE_CHECKING:
    from baton.email.v1.email_service_pb2_grpc import EmailServiceAsyncStub

State = email_pb2.Email.State


class Mailbox:
    """An aiosmtpd handler that answers as it is told, and keeps what it took."""

    def __init__(self) -> None:
        self.replies: list[str] = []
        self.messages: list[bytes] = []
        self.senders: list[str] = []
        self.recipients: list[str] = []
        self.sessions: set[int] = set()
        self.conversations = 0
        self.logins: list[bytes] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        self.conversations += 1
        self.sessions.add(id(session))
        self.recipients.append(address)
        reply = self.replies.pop(0) if self.replies else "250 OK"
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.senders.append(envelope.mail_from)
        self.messages.append(envelope.content)
        return "250 OK"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.logins.append(data.login)
        return AuthResult(success=data.password == b"p@ss", handled=False)


@asynccontextmanager
async def listening(protocol: Callable[[], asyncio.BaseProtocol]) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def serving(folder: Path, url: str, **more: str) -> "AsyncIterator[EmailServiceAsyncStub]":
    given = {"BATON_DATA_DIR": folder, "BATON_QUEUE_ADDRESS": "127.0.0.1:1", "BATON_EMAIL_SMTP_URL": url, **more}
    application = build(EmailSettings.model_validate(given), clock=FakeClock())
    async with running(application, packages=("email",)) as channel:
        yield EmailServiceStub(channel)


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def stub(mailbox: Mailbox, tmp_path: Path) -> "AsyncIterator[EmailServiceAsyncStub]":
    async with (
        listening(lambda: SMTP(mailbox, enable_SMTPUTF8=True, hostname="mail.test")) as port,
        serving(tmp_path, f"smtp://127.0.0.1:{port}") as stub,
    ):
        yield stub


def email(key: str, to: str = "runner@example.org") -> email_pb2.Email:
    return email_pb2.Email(idempotency_key=key, to=to, plain=email_pb2.PlainEmail(subject="Hi", body=".\n..\nÜ"))


async def send(stub: "EmailServiceAsyncStub", key: str, to: str = "runner@example.org") -> email_pb2.Email:
    response = await stub.SendEmail(email_service_pb2.SendEmailRequest(email=email(key, to)))
    return response.email


async def refusal(stub: "EmailServiceAsyncStub", key: str) -> RemoteError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(stub, key)
    return read_error(caught.value)


async def test_an_email_reaches_the_mail_server(stub: "EmailServiceAsyncStub", mailbox: Mailbox) -> None:
    sent = await send(stub, "k-1")

    message = message_from_bytes(mailbox.messages[0], policy=policy.default)
    assert sent.state == State.STATE_SENT
    assert (mailbox.senders, mailbox.recipients) == (["marathon@localhost.localdomain"], ["runner@example.org"])
    assert (message["To"], message["Subject"]) == ("runner@example.org", "Hi")


async def test_a_4xx_is_told_with_a_delay_and_tried_again(stub: "EmailServiceAsyncStub", mailbox: Mailbox) -> None:
    mailbox.replies = ["451 try later", "451 try later"]

    first, second = await refusal(stub, "k-1"), await refusal(stub, "k-1")
    sent = await send(stub, "k-1")

    for answer, seconds in ((first, 5), (second, 10)):
        assert (answer.code, answer.reason, answer.domain) == ("UNAVAILABLE", "SMTP_451", "email.baton")
        assert answer.retry_delay == timedelta(seconds=seconds)
    assert (sent.state, sent.attempts) == (State.STATE_SENT, 3)
    assert "451 try later" in sent.last_error


async def test_a_5xx_is_final_and_replayed(stub: "EmailServiceAsyncStub", mailbox: Mailbox) -> None:
    mailbox.replies = ["550 no such user"]

    first, second = await refusal(stub, "k-1"), await refusal(stub, "k-1")

    assert (first.code, first.reason) == ("FAILED_PRECONDITION", "SMTP_550")
    assert second == first
    assert mailbox.conversations == 1
    page = await stub.ListEmails(email_service_pb2.ListEmailsRequest())
    assert [(email.state, email.attempts) for email in page.emails] == [(State.STATE_FAILED, 1)]
    assert "550 no such user" in page.emails[0].last_error


async def test_one_connection_serves_many_emails_a_refusal_between(
    stub: "EmailServiceAsyncStub", mailbox: Mailbox
) -> None:
    mailbox.replies = ["250 OK", "550 no"]

    await send(stub, "k-1")
    await refusal(stub, "k-2")
    for number in range(3, 8):
        await send(stub, f"k-{number}")

    assert len(mailbox.sessions) == 1
    assert len(mailbox.messages) == 6


async def test_a_421_on_a_kept_connection_costs_no_attempt(stub: "EmailServiceAsyncStub", mailbox: Mailbox) -> None:
    await send(stub, "k-1")
    mailbox.replies = ["421 idle too long"]

    sent = await send(stub, "k-2")

    assert (sent.state, sent.attempts) == (State.STATE_SENT, 1)
    assert len(mailbox.sessions) == 2


async def test_a_421_on_a_new_connection_is_temporary(stub: "EmailServiceAsyncStub", mailbox: Mailbox) -> None:
    mailbox.replies = ["421 closing"]

    answer = await refusal(stub, "k-1")

    assert (answer.code, answer.reason) == ("UNAVAILABLE", "SMTP_421")
    assert (await send(stub, "k-1")).state == State.STATE_SENT


async def test_an_address_beyond_ascii_is_sent_as_it_is(stub: "EmailServiceAsyncStub", mailbox: Mailbox) -> None:
    await send(stub, "k-1", to="jürgen@example.org")

    assert mailbox.recipients == ["jürgen@example.org"]


async def test_a_login_is_made_with_the_urls_password(mailbox: Mailbox, tmp_path: Path) -> None:
    def server() -> SMTP:
        return SMTP(mailbox, hostname="mail.test", authenticator=mailbox.authenticate, auth_require_tls=False)

    async with listening(server) as port, serving(tmp_path, f"smtp://me:p%40ss@127.0.0.1:{port}") as stub:
        sent = await send(stub, "k-1")

    assert sent.state == State.STATE_SENT
    assert mailbox.logins == [b"me"]


async def test_a_refused_login_fails_no_email_for_good(mailbox: Mailbox, tmp_path: Path) -> None:
    def server() -> SMTP:
        return SMTP(mailbox, hostname="mail.test", authenticator=mailbox.authenticate, auth_require_tls=False)

    async with listening(server) as port, serving(tmp_path, f"smtp://me:wrong@127.0.0.1:{port}") as stub:
        answer = await refusal(stub, "k-1")

    assert (answer.code, answer.reason) == ("UNAVAILABLE", "SMTP_535")


async def test_a_mail_server_that_is_away_is_a_temporary_failure(mailbox: Mailbox, tmp_path: Path) -> None:
    async with listening(asyncio.Protocol) as port:
        pass

    async with serving(tmp_path, f"smtp://127.0.0.1:{port}") as stub:
        answer = await refusal(stub, "k-1")

    assert (answer.code, answer.reason) == ("UNAVAILABLE", "SMTP_CONNECTION_FAILED")
    assert answer.retry_delay == timedelta(seconds=5)


async def test_a_silent_mail_server_is_a_timeout(tmp_path: Path) -> None:
    async with (
        listening(asyncio.Protocol) as port,
        serving(tmp_path, f"smtp://127.0.0.1:{port}", BATON_EMAIL_SMTP_TIMEOUT="50ms") as stub,
    ):
        answer = await refusal(stub, "k-1")

    assert (answer.code, answer.reason) == ("UNAVAILABLE", "SMTP_TIMEOUT")


class Scripted(asyncio.Protocol):
    """A mail server that answers each line by its first word, and hangs up where it has no answer."""

    def __init__(self, answers: dict[str, str], heard: list[str]) -> None:
        self._answers, self._heard = answers, heard
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(b"220 mail.test\r\n")

    def data_received(self, data: bytes) -> None:
        word = data.split(None, 1)[0].decode()
        self._heard.append(word)
        answer = self._answers.get(word)
        if answer is None:
            self._transport.close()
        else:
            self._transport.write(f"{answer}\r\n".encode("latin-1"))


async def test_starttls_is_taken_when_the_server_offers_it(tmp_path: Path) -> None:
    heard: list[str] = []
    answers = {"EHLO": "250-mail.test\r\n250 STARTTLS", "STARTTLS": "454 no certificate today"}

    async with (
        listening(lambda: Scripted(answers, heard)) as port,
        serving(tmp_path, f"smtp://127.0.0.1:{port}") as stub,
    ):
        answer = await refusal(stub, "k-1")

    assert answer.reason == "SMTP_454"
    assert heard[:2] == ["EHLO", "STARTTLS"]


async def test_a_connection_lost_in_the_middle_is_temporary(tmp_path: Path) -> None:
    heard: list[str] = []
    answers = {"EHLO": "250 mail.test", "MAIL": "250 OK", "RCPT": "250 OK"}

    async with (
        listening(lambda: Scripted(answers, heard)) as port,
        serving(tmp_path, f"smtp://127.0.0.1:{port}") as stub,
    ):
        answer = await refusal(stub, "k-1")

    assert answer.reason == "SMTP_CONNECTION_FAILED"
    assert heard.count("DATA") == 1


async def test_a_reply_that_is_no_text_does_no_harm(tmp_path: Path) -> None:
    answers = {"EHLO": "250 mail.test", "MAIL": "550 n\xe4\xff", "RSET": "250 OK", "QUIT": "221 bye"}

    async with (
        listening(lambda: Scripted(answers, [])) as port,
        serving(tmp_path, f"smtp://127.0.0.1:{port}") as stub,
    ):
        answer = await refusal(stub, "k-1")

    assert answer.reason == "SMTP_550"
