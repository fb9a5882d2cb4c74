"""Every service is killed in turn, again and again, while runners sign up: everybody has mail in the end."""

import asyncio

import pytest

from baton.signup.v1 import registration_pb2 as pb
from tests.support.processes import MeshProcesses
from tests.support.queue_file import CONFIRMATIONS, REPORTS, write_queue_file
from tests.support.runners import emptied, runner, signing_up
from tests.support.smtp_server import SmtpServer

pytestmark = pytest.mark.acceptance

RUNNERS = 60
MODES = (pb.CONFIRMATION_MODE_QUEUED, pb.CONFIRMATION_MODE_BACKGROUND)


async def test_nobody_is_forgotten_whatever_dies(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    write_queue_file(mesh.folder / "queues.toml", visibility="3s")
    smtp.seconds_a_mail = 0.03
    await mesh.start()
    victims = (mesh.queue, mesh.email, mesh.signup, mesh.email, mesh.queue, mesh.signup)

    async with signing_up(mesh.signup.address) as sign_up:
        registering = asyncio.gather(
            *(sign_up.insist(runner(number), MODES[number % len(MODES)]) for number in range(RUNNERS))
        )
        for turn, victim in enumerate(victims, start=1):
            await smtp.took(turn * RUNNERS // (len(victims) + 1))
            await victim.kill()
            await mesh.start(victim)
        registrations = await registering
        await sign_up.all_sent(registrations)

    stats = await emptied(mesh.queue, CONFIRMATIONS)
    reports = await emptied(mesh.queue, REPORTS)
    assert set(smtp.recipients) == {registration.email for registration in registrations}
    # At most the mail that was in hand comes twice, and its receiver can tell.
    assert len(smtp.mails) <= RUNNERS + victims.count(mesh.email)
    assert len({mail.message_id for mail in smtp.mails}) == RUNNERS
    assert (stats.dead_lettered_total, reports.dropped_total) == (0, 0)
