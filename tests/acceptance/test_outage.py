"""A service is away for a while: sign-up goes on, and everybody has mail in the end."""

import pytest

from baton.signup.v1 import registration_pb2 as pb
from tests.support.processes import MeshProcesses
from tests.support.queue_file import CONFIRMATIONS, write_queue_file
from tests.support.runners import emptied, runner, signing_up, stored
from tests.support.smtp_server import SmtpServer

pytestmark = pytest.mark.acceptance

RUNNERS = 20


async def test_registrations_while_the_email_service_is_dead_are_mailed_when_it_is_back(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    await mesh.start()
    await mesh.email.kill()

    async with signing_up(mesh.signup.address) as sign_up:
        registrations = await sign_up.register_all(RUNNERS)
        await stored(mesh.queue, CONFIRMATIONS, RUNNERS)
        await mesh.start(mesh.email)
        await sign_up.all_sent(registrations)

    await assert_nothing_was_lost(mesh)
    assert sorted(smtp.recipients) == sorted(registration.email for registration in registrations)


async def test_an_email_service_that_starts_long_after_the_others_finds_everything_waiting(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    await mesh.start(mesh.queue, mesh.signup)

    async with signing_up(mesh.signup.address) as sign_up:
        registrations = await sign_up.register_all(RUNNERS)
        await mesh.queue.errors.have("push_unreachable", CONFIRMATIONS)
        await mesh.start(mesh.email)
        await sign_up.all_sent(registrations)

    await assert_nothing_was_lost(mesh)
    assert sorted(smtp.recipients) == sorted(registration.email for registration in registrations)


async def test_a_registration_survives_the_death_of_sign_up_while_the_broker_is_away(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    await mesh.start(mesh.email, mesh.signup)

    async with signing_up(mesh.signup.address) as sign_up:
        registration = await sign_up.register(runner())
        await mesh.signup.kill()
        await mesh.start(mesh.queue, mesh.signup)
        await sign_up.all_sent([registration])

    await emptied(mesh.queue, CONFIRMATIONS)
    assert smtp.recipients == [registration.email]


async def test_the_broker_dies_before_the_mail_is_sent_and_it_is_sent_once_all_the_same(
    mesh: MeshProcesses, smtp: SmtpServer
) -> None:
    write_queue_file(mesh.folder / "queues.toml", linger="3s")
    await mesh.start()

    async with signing_up(mesh.signup.address) as sign_up:
        registration = await sign_up.handed_over(await sign_up.register(runner()))
        await mesh.queue.kill()
        mails_before = list(smtp.mails)
        await mesh.start(mesh.queue)
        await sign_up.all_sent([registration])

    await emptied(mesh.queue, CONFIRMATIONS)
    assert mails_before == []
    assert smtp.recipients == [registration.email]


async def test_the_broker_dies_over_a_batch_and_everybody_has_one_mail(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    registrations = await kill_the_broker_over_a_batch(mesh, smtp)

    assert sorted(smtp.recipients) == sorted(registration.email for registration in registrations)


async def test_the_death_of_the_broker_costs_no_attempt(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    await kill_the_broker_over_a_batch(mesh, smtp)

    stats = await emptied(mesh.queue, CONFIRMATIONS)
    assert stats.retried_total == 0


async def kill_the_broker_over_a_batch(mesh: MeshProcesses, smtp: SmtpServer) -> list[pb.Registration]:
    write_queue_file(mesh.folder / "queues.toml", batch=RUNNERS, linger="3s", visibility="2s")
    smtp.seconds_a_mail = 0.05
    await mesh.start()
    async with signing_up(mesh.signup.address) as sign_up:
        registrations = await sign_up.register_all(RUNNERS)
        await smtp.took(5)
        await mesh.queue.kill()
        await mesh.start(mesh.queue)
        await sign_up.all_sent(registrations)
    return registrations


async def assert_nothing_was_lost(mesh: MeshProcesses) -> None:
    stats = await emptied(mesh.queue, CONFIRMATIONS)
    assert (stats.sent_total, stats.acked_total) == (RUNNERS, RUNNERS)
    assert (stats.retried_total, stats.dead_lettered_total, stats.dropped_total) == (0, 0, 0)
