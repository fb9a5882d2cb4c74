"""Several connections to one mail server: how many there are, how long they are kept, and who gets them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from baton.email.v1 import email_pb2, email_service_pb2
from email_service.failure import HeldBackError, TransportError
from email_service.letter import Letter
from email_service.smtp_pool import IDLE, NARROW
from email_service.smtp_transport import smtp_transport
from email_service.smtp_url import parse_smtp_url
from mesh import deadline
from mesh.clock import SECOND
from mesh.status import read_error
from tests.support.email_sending import email_sending
from tests.support.eventually import eventually
from tests.support.smtp_server import HANG_UP, SILENCE, SmtpServer, smtp_server
from tests.support.watched_clock import WatchedClock


def letter(name: str) -> Letter:
    return Letter(name, 0, "marathon@example.org", f"{name}@example.org", False, b"Subject: Hi\r\n\r\nHi\r\n")


def numbered(count: int) -> list[str]:
    return [f"runner-{number}" for number in range(count)]


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with smtp_server() as server:
        yield server


async def test_there_are_never_more_connections_than_set_and_all_are_used(server: SmtpServer, tmp_path: Path) -> None:
    server.seconds_a_mail = 0.02
    async with email_sending(tmp_path, server.url, BATON_EMAIL_SMTP_CONNECTIONS="3") as service:
        calls = asyncio.gather(*(service.send(f"direct-{number}") for number in range(15)))
        settlements, emails = await service.batch(*numbered(15)), await calls

    assert {one.WhichOneof("action") for one in settlements.values()} == {"ack"}
    assert {email.state for email in emails} == {email_pb2.Email.State.STATE_SENT}
    assert len(server.mails) == 30
    assert (server.most_at_once, len(server.visits)) == (3, 3)


async def test_a_letter_that_hangs_stops_none_of_the_others(server: SmtpServer, tmp_path: Path) -> None:
    server.answer("MAIL", SILENCE)
    async with email_sending(tmp_path, server.url) as service:
        hanging = asyncio.create_task(service.batch("hanging"))
        await server.reached("MAIL")

        settlements = await service.batch(*numbered(12))
        await server.close()

        assert [one.WhichOneof("action") for one in settlements.values()] == ["ack"] * 12
        assert (await hanging)["hanging"].retry.code == "SMTP_CONNECTION_FAILED"


async def test_one_refused_recipient_fails_one_message_of_a_batch(server: SmtpServer, tmp_path: Path) -> None:
    server.refuse("550 5.1.1 no such user", recipient="runner-3@example.org")
    server.refuse("451 4.2.0 greylisted", recipient="runner-5@example.org")
    async with email_sending(tmp_path, server.url) as service:
        settlements = await service.batch(*numbered(8))

    actions = {key: settlement.WhichOneof("action") for key, settlement in settlements.items()}
    assert actions == dict.fromkeys(numbered(8), "ack") | {"runner-3": "reject", "runner-5": "retry"}
    assert len(server.mails) == 6


async def test_two_deliveries_at_once_make_one_email_whichever_way_they_come(
    server: SmtpServer, tmp_path: Path
) -> None:
    server.seconds_a_mail = 0.05
    async with email_sending(tmp_path, server.url) as service:
        deliveries = [service.send("k"), service.batch("k"), service.batch("k"), service.send("k")]
        await asyncio.gather(*deliveries, return_exceptions=True)
        afterwards = await service.send("k")

    assert server.recipients == ["k@example.org"]
    assert (afterwards.state, afterwards.attempts) == (email_pb2.Email.State.STATE_SENT, 1)


async def test_a_connection_carries_so_many_letters_and_ends_politely(server: SmtpServer, tmp_path: Path) -> None:
    settings = {"BATON_EMAIL_SMTP_CONNECTIONS": "1", "BATON_EMAIL_SMTP_LETTERS": "3"}
    async with email_sending(tmp_path, server.url, **settings) as service:
        for key in numbered(7):
            await service.send(key)

    await server.left()
    assert [visit.commands.count("LETTER") for visit in server.visits] == [3, 3, 1]
    assert [visit.commands[-1] for visit in server.visits] == ["QUIT"] * 3
    assert server.most_at_once == 1


async def test_a_connection_that_nobody_uses_is_ended_politely(server: SmtpServer, tmp_path: Path) -> None:
    async with email_sending(tmp_path, server.url) as service:
        await service.send("first")
        service.clock.turn(IDLE - SECOND)
        await service.send("second")
        service.clock.turn(IDLE - SECOND)
        assert [visit.commands[-1] for visit in server.visits] == ["LETTER"]

        service.clock.turn(SECOND)
        await server.left()
        await service.send("third")

    assert [visit.commands.count("LETTER") for visit in server.visits] == [2, 1]
    assert server.visits[0].commands[-1] == "QUIT"


async def test_all_that_are_open_end_politely_with_the_service(server: SmtpServer, tmp_path: Path) -> None:
    server.seconds_a_mail = 0.2
    async with email_sending(tmp_path, server.url) as service:
        await service.batch(*numbered(10))

    await server.left()
    assert len(server.visits) > 1
    assert {visit.commands[-1] for visit in server.visits} == {"QUIT"}


async def test_a_server_with_room_for_fewer_gets_fewer_and_no_email_fails(
    tmp_path: Path,
) -> None:
    async with smtp_server(room=2) as server:
        server.seconds_a_mail = 0.02
        async with email_sending(tmp_path, server.url) as service:
            settlements = await service.batch(*numbered(20))
            turned_away = len(server.visits) - 2
            again = await service.batch(*(f"again-{key}" for key in numbered(20)))
            assert len(server.visits) == turned_away + 2
            service.clock.turn(NARROW)
            await service.batch(*(f"later-{key}" for key in numbered(20)))

    assert {one.WhichOneof("action") for one in (settlements | again).values()} == {"ack"}
    assert len(server.mails) == 60
    assert 1 <= turned_away <= 3
    assert len(server.visits) > turned_away + 2


async def test_a_wait_that_outlasts_its_caller_counts_no_attempt(server: SmtpServer, tmp_path: Path) -> None:
    server.hang()
    async with email_sending(tmp_path, server.url, BATON_EMAIL_SMTP_CONNECTIONS="1") as service:
        first = asyncio.create_task(service.send("first"))
        await server.asked()

        async def second() -> list[int]:
            page = await service.emails.ListEmails(email_service_pb2.ListEmailsRequest(to="second@example.org"))
            return [email.attempts for email in page.emails]

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.send("second", timeout=0.5)
        await eventually(second, lambda attempts: attempts == [0])
        await server.close()
        await asyncio.gather(first, return_exceptions=True)

    # The caller's own clock can be the first to find that the time is over.
    assert read_error(caught.value).reason in {"RATE_LIMITED", ""}
    assert server.heard("MAIL") == 1


async def test_a_letter_whose_caller_has_no_more_time_is_not_begun(server: SmtpServer) -> None:
    transport = smtp_transport(
        parse_smtp_url(server.url),
        WatchedClock(),
        timeout=timedelta(seconds=20),
        tls="offered",
        connections=1,
        letters=100,
        rate=None,
    )
    server.hang()
    first = asyncio.create_task(transport.send(letter("first")))
    await server.asked()

    deadline.note(0.05)
    with pytest.raises(HeldBackError):
        await transport.send(letter("second"))

    await server.close()
    with pytest.raises(TransportError):
        await first
    await transport.close()
    assert server.heard("MAIL") == 1


async def test_a_connection_refused_by_the_recipient_is_used_again(server: SmtpServer, tmp_path: Path) -> None:
    server.refuse("550 no")
    async with email_sending(tmp_path, server.url, BATON_EMAIL_SMTP_CONNECTIONS="1") as service:
        await service.batch("refused")
        await service.send("taken")

    assert server.visits[0].commands == [
        *("CONNECT", "EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "LETTER", "QUIT")
    ]


@pytest.mark.parametrize("answer", ["502 not implemented", "421 closing", HANG_UP])
async def test_one_that_cannot_be_used_again_is_replaced_at_once(
    server: SmtpServer, tmp_path: Path, answer: str
) -> None:
    server.refuse("550 no")
    server.answer("RSET", answer)
    async with email_sending(tmp_path, server.url, BATON_EMAIL_SMTP_CONNECTIONS="1") as service:
        await service.batch("refused")
        taken = await service.send("taken")

    assert taken.attempts == 1
    assert len(server.visits) == 2


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ("LETTER", "421 closing"),
        ("LETTER", "OK then"),
        ("LETTER", "354 go on"),
        ("DATA", "250 fine"),
        ("MAIL", "<html>"),
    ],
)
async def test_a_connection_that_is_out_of_step_carries_no_further_letter(
    server: SmtpServer, tmp_path: Path, step: str, answer: str
) -> None:
    server.answer(step, answer)
    async with email_sending(tmp_path, server.url, BATON_EMAIL_SMTP_CONNECTIONS="1") as service:
        failed = (await service.batch("failed"))["failed"]
        taken = await service.send("taken")

    assert failed.HasField("retry")
    assert taken.attempts == 1
    assert [visit.commands.count("MAIL") for visit in server.visits] == [1, 1]


async def test_a_letter_without_an_answer_is_sent_again_under_the_same_id_and_only_when_asked(
    server: SmtpServer, tmp_path: Path
) -> None:
    server.answer("LETTER", HANG_UP)
    async with email_sending(tmp_path, server.url) as service:
        settlement = (await service.batch("k"))["k"]
        taken_at_first = len(server.mails)
        again = await service.send("k")

    assert settlement.retry.code == "SMTP_CONNECTION_FAILED"
    assert settlement.retry.description.endswith("it may have the email")
    assert taken_at_first == 1
    assert (again.attempts, len({mail.message_id for mail in server.mails})) == (2, 1)


async def test_a_batch_broken_off_in_the_middle_of_a_letter_sends_it_once(server: SmtpServer, tmp_path: Path) -> None:
    server.seconds_a_mail = 0.2
    async with email_sending(tmp_path, server.url) as service:
        call = asyncio.create_task(service.batch("k"))
        await server.took(1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

        while not (settlement := (await service.batch("k"))["k"]).HasField("ack"):
            assert settlement.HasField("release")
            await asyncio.sleep(0.02)

    assert len(server.mails) == 1


async def test_the_server_is_told_the_size_of_the_letter(tmp_path: Path) -> None:
    async with smtp_server(size=10_000) as server, email_sending(tmp_path, server.url) as service:
        await service.send("k")

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.send("big", body="x" * 10_000)

    assert read_error(caught.value).reason == "SMTP_552"
    assert (server.heard("MAIL"), server.heard("DATA")) == (1, 1)
    assert server.sizes == [server.mails[0].size]


async def test_neither_address_nor_reply_is_logged(
    server: SmtpServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer("RCPT", "550 <ann@example.org> is a stranger", "451 <bob@example.org> is a stranger")
    server.answer("EHLO", *["550 <carl@example.org> is a stranger"] * 2)
    server.answer("HELO", *["550 <carl@example.org> is a stranger"] * 2)
    async with email_sending(tmp_path, server.url, BATON_EMAIL_SMTP_CONNECTIONS="1") as service:
        for key in ("carl", "ann", "bob"):
            await service.batch(key)

    written = capsys.readouterr()
    logged = written.out + written.err
    assert "smtp_access_refused" in logged
    assert "step=EHLO" in logged
    assert "stranger" not in logged
    assert "example.org" not in logged
