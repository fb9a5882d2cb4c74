"""The end: everything that was told is looked up once more, and held against the mail server's log."""

from collections import defaultdict
from collections.abc import Sequence

from baton.signup.v1 import registration_pb2 as pb
from examples.demo import claims
from examples.demo.broker import CONFIRMATIONS, DEAD, REPORTS
from examples.demo.cast import Runner
from examples.demo.claims import Claim, Told
from examples.demo.scene import PATIENCE, Scene
from examples.demo.sign_up import SENT, state
from stage.waiting import until


async def checked(scene: Scene) -> bool:
    """Say every claim; whether all hold."""
    scene.voice.chapter("The claims, checked")
    scene.voice.say(
        "Every registration is read once more, the queues are counted, and all of it is held against the mail"
        " server's own log:"
    )
    made = await _claims(scene)
    for claim in made:
        scene.voice.claim(claim.sentence, holds=claim.holds, found=claim.found)
    return all(claim.holds for claim in made)


async def _claims(scene: Scene) -> Sequence[Claim]:
    left = await until(lambda: _left(scene), lambda counts: not any(counts.values()), within=PATIENCE)
    runners = await _told(scene)
    mine = {runner.email for runner in runners}
    events = [event for event in scene.mail.events() if event.recipient in mine]
    return (
        claims.one_place_each(runners),
        claims.ended_as_planned(runners),
        claims.nobody_twice(runners, events, scene.kills),
        claims.log_agrees(runners, events),
        claims.only_refused_again(runners, events),
        claims.never_early(runners, events, scene.narrator.delays),
        claims.tied_to_runner(runners),
        claims.emptied(left),
    )


async def _left(scene: Scene) -> dict[str, int]:
    found = {}
    for queue in (CONFIRMATIONS, DEAD, REPORTS):
        stats = await scene.broker.stats(queue)
        found[queue] = stats.ready_count + stats.delayed_count + stats.leased_count
    return found


async def _told(scene: Scene) -> list[Told]:
    places = defaultdict(list)
    for registration in await scene.sign_up.all():
        places[registration.email].append(registration)
    return [_story(runner, places[runner.email]) for runner in scene.cast.runners]


def _story(runner: Runner, places: Sequence[pb.Registration]) -> Told:
    last = places[-1] if places else pb.Registration()
    return Told(
        name=runner.name,
        email=runner.email,
        tries=runner.tries,
        planned=runner.ends,
        places=len(places),
        end=state(last.confirmation),
        mails=sum(each.confirmation.state == SENT for each in places)
        + sum(each.cancellation.email_state == SENT for each in places),
        reason=last.confirmation.last_error,
    )
