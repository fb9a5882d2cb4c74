"""The rate of letters: who waits, who is sent away and for how long, and that it costs nobody an attempt."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from baton.email.v1 import email_pb2, email_service_pb2
from mesh.clock import SECOND
from mesh.status import RemoteError, read_error
from tests.support.email_sending import EmailSending, email_sending
from tests.support.eventually import eventually
from tests.support.smtp_server import SmtpServer, smtp_server

State = email_pb2.Email.State


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with smtp_server() as server:
        yield server


async def refusal(sending: EmailSending, key: str) -> RemoteError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sending.send(key)
    return read_error(caught.value)


async def test_a_turn_that_is_far_away_is_told_and_no_attempt_is_counted(server: SmtpServer, tmp_path: Path) -> None:
    async with email_sending(tmp_path, server.url, BATON_EMAIL_SMTP_RATE="0.2") as sending:
        await sending.send("first")

        second, third = await refusal(sending, "second"), await refusal(sending, "third")
        page = await sending.emails.ListEmails(email_service_pb2.ListEmailsRequest(to="second@example.org"))
        sending.clock.turn(5 * SECOND)
        sent = await sending.send("second")

    assert (second.code, second.reason, second.domain) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED", "email.baton")
    assert [second.retry_delay, third.retry_delay] == [timedelta(seconds=5), timedelta(seconds=10)]
    assert [(email.state, email.attempts, email.last_error) for email in page.emails] == [(State.STATE_SENDING, 0, "")]
    assert (sent.state, sent.attempts) == (State.STATE_SENT, 1)
    assert server.recipients == ["first@example.org", "second@example.org"]


async def test_a_turn_that_is_near_is_waited_for(server: SmtpServer, tmp_path: Path) -> None:
    async with email_sending(tmp_path, server.url, BATON_EMAIL_SMTP_RATE="2") as sending:
        await asyncio.gather(sending.send("first"), sending.send("second"))

        third = asyncio.create_task(sending.send("third"))
        await eventually(sending.clock.waited_for, lambda away: away == SECOND // 2)
        sending.clock.turn(SECOND // 2)
        await third

    assert server.recipients[-1] == "third@example.org"


async def test_what_is_decided_already_is_answered_whatever_the_rate(server: SmtpServer, tmp_path: Path) -> None:
    server.refuse("550 no such user", recipient="nobody@example.org")
    async with email_sending(tmp_path, server.url, BATON_EMAIL_SMTP_RATE="2") as sending:
        await sending.send("ann")
        await refusal(sending, "nobody")

        again, refused = await sending.send("ann"), await refusal(sending, "nobody")
        settlements = await sending.batch("ann", "nobody")

    assert (again.state, refused.reason) == (State.STATE_SENT, "SMTP_550")
    assert settlements["ann"].HasField("ack")
    assert settlements["nobody"].reject.code == "SMTP_550"


async def test_a_batch_sends_what_it_may_and_gives_the_rest_back_for_turns_of_its_own(
    server: SmtpServer, tmp_path: Path
) -> None:
    keys = [f"runner-{number}" for number in range(5)]
    async with email_sending(tmp_path, server.url, BATON_EMAIL_SMTP_RATE="0.5") as sending:
        settlements = await sending.batch(*keys)
        delays = sorted(
            settlement.release.delay.ToSeconds()
            for settlement in settlements.values()
            if settlement.HasField("release")
        )
        for _ in range(4):
            sending.clock.turn(2 * SECOND)
            settlements |= await sending.batch(*keys)

    assert delays == [2, 4, 6, 8]
    assert {settlement.WhichOneof("action") for settlement in settlements.values()} == {"ack"}
    assert sorted(server.recipients) == [f"{key}@example.org" for key in keys]


async def test_an_attempt_that_failed_stays_counted_when_the_next_one_is_held_back(
    server: SmtpServer, tmp_path: Path
) -> None:
    server.refuse("451 later")
    async with email_sending(tmp_path, server.url, BATON_EMAIL_SMTP_RATE="0.5") as sending:
        failed, held_back = await refusal(sending, "ann"), await refusal(sending, "ann")
        sending.clock.turn(2 * SECOND)
        sent = await sending.send("ann")

    assert (failed.reason, held_back.reason) == ("SMTP_451", "RATE_LIMITED")
    assert (sent.attempts, sent.last_error) == (2, "the mail server answered 451 later")
