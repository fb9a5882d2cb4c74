"""Everything the chapters need: who speaks, who signs up, the services, and the mail server."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from baton.signup.v1 import registration_pb2 as pb
from examples.demo.broker import Broker
from examples.demo.cast import Cast, Runner
from examples.demo.narrator import Narrator
from examples.demo.sign_up import SignUp, outcome
from examples.demo.voice import Voice
from stage.mail_log import MailServer
from stage.manners import Manners, Refusal
from stage.own_mesh import OwnMesh

# Seconds in which any confirmation should be decided.
PATIENCE = 60.0


@dataclass
class Scene:
    """The stage of the demo.

    Args:
        own: the mesh, if it is the demo's own.
        manners: of the mail server, as last told.
    """

    voice: Voice
    cast: Cast
    sign_up: SignUp
    broker: Broker
    mail: MailServer
    narrator: Narrator
    own: OwnMesh | None
    manners: Manners
    ids: dict[str, str] = field(default_factory=dict)
    """Registration ids by email address."""
    kills: list[float] = field(default_factory=list)
    """When a service was killed, in seconds since 1970."""

    def behave(self, *refusals: Refusal, seconds_a_mail: float | None = None) -> None:
        """Add to the mail server's refusals; change how long it takes."""
        seconds = self.manners.seconds_a_mail if seconds_a_mail is None else seconds_a_mail
        self.manners = replace(self.manners, refusals=(*self.manners.refusals, *refusals), seconds_a_mail=seconds)
        self.mail.behave(self.manners)

    def lie(self) -> None:
        """Let the mail server note the mail of everybody who comes next twice, though it came once."""
        self.manners = replace(self.manners, twice=True)
        self.mail.behave(self.manners)

    def repair(self, runner: Runner) -> None:
        """Refuse a runner no longer."""
        left = tuple(refusal for refusal in self.manners.refusals if refusal.recipient != runner.email)
        self.manners = replace(self.manners, refusals=left)
        self.mail.behave(self.manners)

    async def register(self, runner: Runner, mode: "pb.ConfirmationMode.ValueType") -> None:
        """Sign a runner up, and say how long it took."""
        registration, seconds = await self.sign_up.register(runner, mode)
        self.ids[runner.email] = registration.registration_id
        self.narrator.catch_up()
        waited = f"{runner.name} has an answer after {seconds * 1000:.0f} ms: registered"
        self.voice.happens("sign-up", f"{waited}, confirmation {outcome(registration.confirmation)}")

    async def register_all(self, runners: Sequence[Runner], mode: "pb.ConfirmationMode.ValueType") -> None:
        """Sign runners up at the same time."""
        await asyncio.gather(*(self.register(runner, mode) for runner in runners))

    async def decided(self, *runners: Runner) -> None:
        """Watch registrations until their confirmations are decided, and say each change."""
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(self._watch(runner) for runner in runners))

    async def _watch(self, runner: Runner) -> None:
        said = ""
        async for registration in self.sign_up.watch(self.ids[runner.email]):
            now = outcome(registration.confirmation)
            self.narrator.catch_up()
            if now not in (said, "PENDING"):
                self.voice.happens("sign-up", f"{runner.name}'s confirmation: {now}")
            said = now
