"""Chapter three: the confirmation through the broker."""

from examples.demo.broker import CONFIRMATIONS
from examples.demo.cast import Runner
from examples.demo.direct import BUSY
from examples.demo.scene import Scene
from examples.demo.sign_up import QUEUED
from stage.manners import Refusal

GREYLISTED = "450 4.2.0 Greylisted, come back later"
NO_SUCH_MAILBOX = "550 5.1.1 No such mailbox"


async def batch(scene: Scene, *, patient: bool) -> tuple[Runner, Runner]:
    """A batch in which most succeed, some come again, and two never will: those two."""
    runners = scene.cast.come(10)
    busy, greylisted, (first, second) = runners[1:3], runners[4], runners[6:8]
    for runner in busy:
        _put_off(scene, runner, BUSY, tries=1)
    _put_off(scene, greylisted, GREYLISTED, tries=2 if patient else 1)
    scene.behave(*(Refusal(runner.email, NO_SUCH_MAILBOX) for runner in (first, second)))
    scene.voice.chapter("3. QUEUED: store row and message in one transaction, answer; the broker does the rest")
    scene.voice.say(
        f"Ten runners at once. {busy[0].name} and {busy[1].name} are told to come again, {greylisted.name} is"
        f" greylisted, {first.name} and {second.name} have no mailbox. Only who was refused is sent to again:"
    )
    before = await scene.broker.stats(CONFIRMATIONS)
    async with scene.narrator.speaking():
        await scene.register_all(runners, QUEUED)
        await scene.decided(*runners)
    after = await scene.broker.stats(CONFIRMATIONS)
    scene.voice.say(
        f"By the broker's count: {after.delivered_total - before.delivered_total} deliveries for ten messages, each"
        f" settled on its own: {after.acked_total - before.acked_total} acked,"
        f" {after.retried_total - before.retried_total} times retried,"
        f" {after.dead_lettered_total - before.dead_lettered_total} dead-lettered."
    )
    return first, second


def _put_off(scene: Scene, runner: Runner, reply: str, *, tries: int) -> None:
    scene.behave(Refusal(runner.email, reply, tries=tries))
    runner.tries = tries + 1
