"""What a mail server answers, or fails to answer, comes back to the runner."""

import pytest

from baton.signup.v1 import registration_pb2 as pb
from tests.support.processes import MeshProcesses
from tests.support.queue_file import CONFIRMATIONS
from tests.support.runners import emptied, signing_up
from tests.support.smtp_server import SmtpServer

pytestmark = pytest.mark.acceptance

State = pb.Confirmation.State
RATE = 2


async def test_a_refused_address_fails_alone_and_the_registration_says_why(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    smtp.refuse("550 no such mailbox", recipient="runner-1@example.org")
    await mesh.start()

    async with signing_up(mesh.signup.address) as sign_up:
        registrations = await sign_up.register_all(3)
        decided = [await sign_up.decided(registration) for registration in registrations]

    await emptied(mesh.queue, CONFIRMATIONS)
    states = [registration.confirmation.state for registration in decided]
    refused = decided[1].confirmation
    assert states == [State.STATE_SENT, State.STATE_FAILED, State.STATE_SENT]
    assert "550 no such mailbox" in refused.last_error
    assert refused.attempts == 1
    assert decided[1].state == pb.Registration.STATE_REGISTERED
    assert sorted(smtp.recipients) == ["runner-0@example.org", "runner-2@example.org"]


async def test_a_mail_that_is_put_off_is_sent_once_at_the_second_try(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    smtp.refuse("451 try again later")
    await mesh.start()

    async with signing_up(mesh.signup.address) as sign_up:
        (registration,) = await sign_up.register_all(1)
        decided = await sign_up.decided(registration)

    stats = await emptied(mesh.queue, CONFIRMATIONS)
    assert decided.confirmation.state == State.STATE_SENT
    assert smtp.recipients == [registration.email]
    assert (stats.retried_total, stats.dead_lettered_total) == (1, 0)


async def test_a_mail_server_that_hangs_and_goes_away_delays_the_mail_and_no_more(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    smtp.hang()
    await mesh.start()

    async with signing_up(mesh.signup.address) as sign_up:
        registrations = await sign_up.register_all(3)
        await smtp.asked()
        await smtp.close()
        await mesh.email.errors.have("email_delayed")
        await smtp.open()
        await sign_up.all_sent(registrations)

    stats = await emptied(mesh.queue, CONFIRMATIONS)
    assert sorted(smtp.recipients) == sorted(registration.email for registration in registrations)
    assert stats.dead_lettered_total == 0


async def test_a_rate_below_what_comes_in_spreads_the_mails_and_fails_none(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    mesh.set("BATON_EMAIL_SMTP_RATE", RATE)
    await mesh.start()

    async with signing_up(mesh.signup.address) as sign_up:
        registrations = await sign_up.register_all(5 * RATE)
        await sign_up.all_sent(registrations)

    stats = await emptied(mesh.queue, CONFIRMATIONS)
    times = sorted(mail.taken_at for mail in smtp.mails)
    assert sorted(smtp.recipients) == sorted(registration.email for registration in registrations)
    assert (stats.acked_total, stats.retried_total, stats.dead_lettered_total) == (5 * RATE, 0, 0)
    # A second's worth leaves at once, the others one by one.
    assert times[-1] - times[0] >= (5 * RATE - RATE - 1) / RATE


async def test_a_server_with_room_for_one_connection_has_every_mail_without_a_failed_try(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    smtp.room, smtp.seconds_a_mail = 1, 0.02
    await mesh.start()

    async with signing_up(mesh.signup.address) as sign_up:
        registrations = await sign_up.register_all(10)
        await sign_up.all_sent(registrations)

    stats = await emptied(mesh.queue, CONFIRMATIONS)
    assert sorted(smtp.recipients) == sorted(registration.email for registration in registrations)
    assert (stats.acked_total, stats.retried_total) == (10, 0)
