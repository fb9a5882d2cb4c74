"""Chapter five: the email service dies in the middle of a batch."""

import asyncio
import time

from examples.demo.scene import PATIENCE, Scene
from examples.demo.sign_up import QUEUED
from stage.mail_log import MailEvent
from stage.own_mesh import OwnMesh
from stage.waiting import until

_SECONDS_A_MAIL = 0.8
# Of the youngest conversation's age when the service is killed: by then what was answered before is on disk, and the
# mail server is still far from its answer.
_AGE = (0.2, 0.55)


async def killed(scene: Scene, own: OwnMesh) -> None:
    """Kill -9 between two mails of a batch: who has theirs gets no other, who has not gets one."""
    runners = scene.cast.come(10)
    for runner in runners:
        runner.tries = None  # one more for those whose mail is cut off
    scene.behave(seconds_a_mail=_SECONDS_A_MAIL)
    scene.voice.chapter("5. kill -9 of the email service in the middle of a batch")
    scene.voice.say("Ten more runners. As soon as some have their mail and others are in the middle of theirs:")
    mine = {runner.email for runner in runners}
    async with scene.narrator.speaking():
        await scene.register_all(runners, QUEUED)
        watching = asyncio.create_task(scene.decided(*runners))
        events = await until(lambda: _of(scene, mine), _in_the_middle, within=PATIENCE, every=0.02)
        scene.kills.append(time.time())
        await own.processes.kill("email")
        open_ones = sorted(scene.cast.name(email) for email in _open(events))
        scene.voice.happens("demo", f"kill -9, while the mails to {', '.join(open_ones)} are under way")
        await own.processes.start("email")
        scene.voice.happens("demo", "the email service is back")
        await watching
    scene.voice.say("The messages that were not settled came again, to whom they still had to go. The others did not.")


async def _of(scene: Scene, mine: set[str]) -> list[MailEvent]:
    return [event for event in scene.mail.events() if event.recipient in mine]


def _open(events: list[MailEvent]) -> dict[str, float]:
    """Whose mail is transferred and not answered, and since when."""
    begun = {event.recipient: event.time for event in events if event.what == "transferred"}
    ended = {event.recipient for event in events if event.what != "transferred"}
    return {email: at for email, at in begun.items() if email not in ended}


def _in_the_middle(events: list[MailEvent]) -> bool:
    youngest = max(_open(events).values(), default=0.0)
    return any(event.what == "taken" for event in events) and _AGE[0] < time.time() - youngest < _AGE[1]
