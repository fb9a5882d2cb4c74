"""A runner signs up and has mail: the whole way, in each of its three forms."""

from email import message_from_bytes, policy
from pathlib import Path

import pytest

from baton.signup.v1 import registration_pb2 as pb
from tests.support.eventually import eventually
from tests.support.processes import MeshProcesses
from tests.support.queue_file import CONFIRMATIONS
from tests.support.runners import emptied, runner, signing_up
from tests.support.smtp_server import SmtpServer

pytestmark = pytest.mark.acceptance

State = pb.Confirmation.State
SEQUENTIAL, BACKGROUND = pb.CONFIRMATION_MODE_SEQUENTIAL, pb.CONFIRMATION_MODE_BACKGROUND


async def test_a_runner_who_signs_up_in_any_mode_gets_one_mail(mesh: MeshProcesses, smtp: SmtpServer) -> None:
    await mesh.start()

    async with signing_up(mesh.signup.address) as sign_up:
        sequential = await sign_up.register(runner(1), SEQUENTIAL)
        background = await sign_up.register(runner(2), BACKGROUND)
        queued = await sign_up.register(runner(3))
        found = [await sign_up.decided(registration) for registration in (sequential, background, queued)]
        read_again = [await sign_up.find(registration) for registration in found]
    await emptied(mesh.queue, CONFIRMATIONS)

    assert sequential.confirmation.state == State.STATE_SENT
    assert [registration.confirmation.state for registration in found] == [State.STATE_SENT] * 3
    assert all(registration.confirmation.email_id for registration in found)
    assert [bool(registration.confirmation.message_id) for registration in found] == [False, False, True]
    assert read_again == found
    mails = {mail.recipient: mail for mail in smtp.mails}
    assert sorted(smtp.recipients) == sorted(registration.email for registration in found)
    for registration in found:
        text = mails[registration.email].text
        assert f"Hello {registration.first_name}," in text
        assert registration.registration_id in text


async def test_without_a_mail_server_the_mail_is_a_file_in_the_outbox(mesh: MeshProcesses) -> None:
    mesh.set("BATON_EMAIL_SMTP_URL", "")
    await mesh.start()

    async with signing_up(mesh.signup.address) as sign_up:
        registration = await sign_up.decided(await sign_up.register(runner()))

    (file,) = await letters(mesh.folder / "data" / "outbox")
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    body = message.get_body(("plain",))
    assert body is not None
    assert message["To"] == registration.email
    assert f"Hello {registration.first_name}," in body.get_content()
    assert registration.registration_id in body.get_content()


async def letters(outbox: Path) -> list[Path]:
    async def look() -> list[Path]:
        return list(outbox.glob("*.eml"))

    return await eventually(look, bool)
