"""Chapter four: what failed for good comes back to its runner."""

from collections.abc import Sequence

from baton.signup.v1 import registration_pb2 as pb
from examples.demo.broker import Waiting
from examples.demo.cast import Runner
from examples.demo.queued import GREYLISTED
from examples.demo.scene import PATIENCE, Scene
from examples.demo.sign_up import FAILED, QUEUED, SENT, outcome, state
from stage.manners import Refusal
from stage.waiting import until


async def repaired(scene: Scene, failed: Runner) -> None:
    """The failed email is known as a runner's, and sent anew when the mailbox is there again."""
    scene.voice.chapter("4. The dead letter comes home")
    registration = await scene.sign_up.get(scene.ids[failed.email])
    confirmation = registration.confirmation
    scene.voice.say(
        "What the broker gives up goes back to the sign-up service, which consumes the dead letters. So the failed"
        " email is tied to the person who signed up, without a search through logs:"
    )
    scene.voice.show(
        f"registration  {registration.registration_id}\n"
        f"runner        {registration.first_name}, still registered\n"
        f"message       {confirmation.message_id}\n"
        f"confirmation  {outcome(confirmation)}"
    )
    scene.voice.say(f"{failed.name}'s mailbox is repaired. ResendConfirmation:")
    scene.repair(failed)
    failed.tries = 2
    async with scene.narrator.speaking():
        await scene.sign_up.resend(registration.registration_id)
        await scene.decided(failed)


async def misspelt(scene: Scene, failed: Runner) -> None:
    """A registration is cancelled, and the runner comes again with the right address."""
    scene.voice.say(f"{failed.name} had a typing error in the address. CancelRegistration, and once more, spelt right:")
    # The email that tells of it goes to the wrong address as well, and is refused there.
    failed.tries, failed.ends = 2, "FAILED"
    right = scene.cast.add(f"{failed.name}-right")
    async with scene.narrator.speaking():
        await _cancel(scene, failed, "no mail gets through to this address")
        await scene.register(right, QUEUED)
        await scene.decided(right)
        await _told_of_it(scene, failed)


async def withdrawn(scene: Scene) -> None:
    """A registration is cancelled while its confirmation waits in the broker for another try: it does not leave."""
    (undecided,) = scene.cast.come(1)
    undecided.tries, undecided.ends = 2, "WITHDRAWN"
    scene.behave(Refusal(undecided.email, GREYLISTED, tries=1))
    scene.voice.say(
        f"{undecided.name} signs up, is greylisted, and steps back before the second try. That mail is taken back from"
        " the broker; the one about the cancellation goes out instead:"
    )
    async with scene.narrator.speaking():
        await scene.register(undecided, QUEUED)
        await until(scene.broker.confirmations, lambda waiting: _put_off(waiting, undecided), within=PATIENCE)
        await _cancel(scene, undecided, "I sprained my ankle")
        await _told_of_it(scene, undecided)


def _put_off(waiting: Sequence[Waiting], runner: Runner) -> bool:
    return any(each.to == runner.email and each.code and not each.leased for each in waiting)


async def _cancel(scene: Scene, runner: Runner, reason: str) -> None:
    registration = await scene.sign_up.cancel(scene.ids[runner.email], reason)
    said = f"{runner.name}'s place is free; confirmation {outcome(registration.confirmation)}"
    scene.voice.happens("sign-up", said)


async def _told_of_it(scene: Scene, runner: Runner) -> None:
    """Wait until the email about the cancellation is sent or given up."""
    registration = await until(
        lambda: scene.sign_up.get(scene.ids[runner.email]),
        lambda found: found.cancellation.email_state in (SENT, FAILED),
        within=PATIENCE,
    )
    cancellation, confirmation = registration.cancellation, registration.confirmation
    told = pb.Confirmation.State.Name(cancellation.email_state).removeprefix("STATE_")
    error = f" ({cancellation.email_last_error})" if cancellation.email_last_error else ""
    scene.narrator.catch_up()
    scene.voice.happens(
        "sign-up", f"{runner.name}'s confirmation: {state(confirmation)}; mail about the cancellation: {told}{error}"
    )
