"""Chapters one and two: the confirmation without a queue."""

from examples.demo.scene import Scene
from examples.demo.sign_up import BACKGROUND, SEQUENTIAL
from stage.manners import Refusal

BUSY = "451 4.3.0 Mailbox busy, try again later"


async def sequential(scene: Scene) -> None:
    """The runner waits for the mail server, and a refusal loses the mail."""
    runners = scene.cast.come(4)
    unlucky = runners[-1]
    unlucky.ends = "FAILED"
    scene.behave(Refusal(unlucky.email, BUSY, tries=1))
    scene.voice.chapter("1. SEQUENTIAL: store, send the mail, then answer")
    scene.voice.say(
        f"The plainest way. Every runner waits for the mail server, which takes"
        f" {scene.manners.seconds_a_mail:.1f} s a mail. And it will tell {unlucky.name}'s mail to come again later."
    )
    async with scene.narrator.speaking():
        for runner in runners:
            await scene.register(runner, SEQUENTIAL)
    scene.voice.say(
        f"{unlucky.name} is registered, but nobody will try that mail again: the request it belonged to is over."
    )


async def background(scene: Scene) -> None:
    """The runner does not wait; the service tries again for half a minute, from memory."""
    runners = scene.cast.come(3)
    unlucky = runners[1]
    unlucky.tries = 2
    scene.behave(Refusal(unlucky.email, BUSY, tries=1))
    scene.voice.chapter("2. BACKGROUND: store, answer, send meanwhile")
    scene.voice.say(
        f"The answer no longer waits for the mail. {unlucky.name}'s is refused once, and tried again after the delay"
        " that the email service asks for. But it is the sign-up service itself that tries again, for 30 s and no"
        " longer."
    )
    async with scene.narrator.speaking():
        await scene.register_all(runners, BACKGROUND)
        await scene.decided(*runners)
