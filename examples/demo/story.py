"""The demo from the first word to the last: what runs where, five chapters, and the check."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from email_service.settings import EmailSettings
from examples.demo import dead_letters, direct, ending, killed, queued
from examples.demo.broker import Broker
from examples.demo.cast import Cast
from examples.demo.narrator import Narrator
from examples.demo.scene import Scene
from examples.demo.sign_up import SignUp
from examples.demo.voice import Voice
from mesh.settings import SettingsError, load
from queue_service.settings import QueueSettings
from stage.mail_log import MailServer, mail_server
from stage.manners import Manners
from stage.own_mesh import OwnMesh, own_mesh, temporary_folder

QUEUES = Path(__file__).with_name("queues.toml")
MANNERS = Manners(seconds_a_mail=0.3)


async def told(scene: Scene, *, patient: bool) -> bool:
    """Tell everything; whether every claim holds."""
    await direct.sequential(scene)
    await direct.background(scene)
    first, second = await queued.batch(scene, patient=patient)
    await dead_letters.repaired(scene, first)
    await dead_letters.misspelt(scene, second)
    await dead_letters.withdrawn(scene)
    if scene.own is not None:
        await killed.killed(scene, scene.own)
    return await ending.checked(scene)


@asynccontextmanager
async def on_own_mesh(manners: Manners) -> AsyncIterator[Scene]:
    """The scene on three services and a mail server of the demo's own, on free ports and in a temporary folder."""
    with temporary_folder() as name:
        folder = Path(name)
        async with mail_server(folder, manners) as mail:
            settings = {"BATON_EMAIL_SMTP_URL": mail.url, "BATON_QUEUE_CONFIG": str(QUEUES)}
            async with own_mesh(folder, settings) as own, _scene(own.signup, own.queue, mail, manners, own) as scene:
                scene.voice.say(
                    f"Three services and a mail server, each a process of its own: sign-up on {own.signup}, broker on"
                    f" {own.queue}, email on a unix socket, mail server on port {mail.port}. The queue between them is"
                    " declared like this:"
                )
                scene.voice.show(_declared())
                yield scene


@asynccontextmanager
async def on_running_mesh(manners: Manners) -> AsyncIterator[Scene]:
    """The scene on services that others started, with the demo's mail server where their settings say that it is.

    Raises:
        SettingsError: the environment does not say where, or names a mail server on another machine.
    """
    email = load(EmailSettings)
    smtp, broker, where = email.smtp, email.broker, load(QueueSettings).services["signup"]
    if smtp is None or smtp.host not in ("127.0.0.1", "localhost"):
        raise SettingsError(
            ["BATON_EMAIL_SMTP_URL: must be smtp://127.0.0.1:<port>, for the services and for the demo"]
        )
    with temporary_folder() as name:
        async with (
            mail_server(Path(name), manners, port=smtp.port) as mail,
            _scene(where, broker, mail, manners, None) as scene,
        ):
            scene.voice.say(
                f"On the mesh that runs at {where} and {broker}, with a mail server on port {mail.port}. The chapter"
                " that kills a service is left out."
            )
            yield scene


@asynccontextmanager
async def _scene(
    signup: str, queue: str, mail: MailServer, manners: Manners, own: OwnMesh | None
) -> AsyncIterator[Scene]:
    voice, cast, sign_up, broker = Voice(), Cast(), SignUp(signup), Broker(queue)
    narrator = Narrator(voice, cast, mail, broker, own.log if own is not None else ())
    try:
        yield Scene(voice, cast, sign_up, broker, mail, narrator, own, manners)
    finally:
        await sign_up.close()
        await broker.close()


def _declared() -> str:
    """The part of the queue file that matters to the story."""
    tables = QUEUES.read_text(encoding="utf-8").split("[[queues]]")
    return "[[queues]]" + tables[1]
