"""WatchRegistration: every state from the current one on, until nothing more is to come."""

import asyncio
from pathlib import Path

import grpc
import pytest

from baton.email.v1 import email_pb2
from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2 as service_pb
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from mesh.errors import Aborted
from mesh.status import read_error
from tests.service.test_signup_cancel import Desk
from tests.service.test_signup_outcome import DEAD, REPORTS, dead_letter, deliver, report
from tests.support.running import running
from tests.unit.signup_service.neighbour import PATIENCE, Neighbourhood

SENT, FAILED = pb.Confirmation.STATE_SENT, pb.Confirmation.STATE_FAILED
PENDING, CANCELLED = pb.Confirmation.STATE_PENDING, pb.Registration.STATE_CANCELLED


@pytest.fixture
def neighbours(tmp_path: Path) -> Neighbourhood:
    return Neighbourhood(tmp_path)


class Watching:
    """A watch, read as it comes."""

    def __init__(self, channel: grpc.aio.Channel, registration_id: str) -> None:
        request = service_pb.WatchRegistrationRequest(registration_id=registration_id)
        self.call = SignupServiceStub(channel).WatchRegistration(request, timeout=PATIENCE)

    async def next(self) -> pb.Registration | None:
        """The next state; None at the end."""
        answer = await self.call.read()
        return answer.registration if isinstance(answer, service_pb.WatchRegistrationResponse) else None

    async def rest(self) -> list[pb.Registration]:
        return [answer.registration async for answer in self.call]


async def test_a_watch_shows_each_change_and_ends_when_the_email_is_sent(neighbours: Neighbourhood) -> None:
    async with neighbours.broker(), running(neighbours.application()) as channel:
        registration_id = await Desk(channel).register()
        watching = Watching(channel, registration_id)
        first = await watching.next()
        await deliver(channel, REPORTS, report(registration_id, email_pb2.Email.STATE_SENT))
        rest = await watching.rest()

    assert first is not None
    assert first.registration_id == registration_id
    states = [first.confirmation.state, *(each.confirmation.state for each in rest)]
    assert states == [*[PENDING] * (len(states) - 1), SENT]
    assert all(earlier != later for earlier, later in zip([first, *rest], rest, strict=False))


async def test_a_watch_of_what_is_decided_is_one_state(neighbours: Neighbourhood) -> None:
    async with neighbours.broker(), running(neighbours.application()) as channel:
        registration_id = await Desk(channel).register()
        await deliver(channel, DEAD, dead_letter(registration_id))

        states = await Watching(channel, registration_id).rest()

    assert [each.confirmation.state for each in states] == [FAILED]


async def test_a_watch_ends_when_the_place_is_taken_back(neighbours: Neighbourhood) -> None:
    async with running(neighbours.application()) as channel:
        registration_id = await Desk(channel).register()
        watching = Watching(channel, registration_id)
        await watching.next()
        await Desk(channel).cancel(registration_id)

        rest = await watching.rest()

    assert [each.state for each in rest] == [CANCELLED]


async def test_tries_that_fail_for_now_are_changes_too(neighbours: Neighbourhood) -> None:
    neighbours.email.errors = [Aborted("IN_PROGRESS", "this email is being sent")]
    async with neighbours.email_service(), running(neighbours.application()) as channel:
        registration_id = await Desk(channel).register(pb.CONFIRMATION_MODE_BACKGROUND)

        states = await Watching(channel, registration_id).rest()

    assert states[-1].confirmation.state == SENT
    assert states[-1].confirmation.attempts == 2
    assert [each.confirmation.attempts for each in states] in ([0, 1, 2], [1, 2])


async def test_many_may_watch_and_leave(neighbours: Neighbourhood) -> None:
    application = neighbours.application()
    async with running(application) as channel:
        registration_id = await Desk(channel).register()
        watchers = [Watching(channel, registration_id) for _ in range(20)]
        await asyncio.gather(*(each.next() for each in watchers))
        for each in watchers[:10]:
            each.call.cancel()
        await Desk(channel).cancel(registration_id)

        ends = await asyncio.gather(*(each.rest() for each in watchers[10:]))
        watched = application._changes._watches

    assert [[each.state for each in end] for end in ends] == [[CANCELLED]] * 10
    assert watched == {}


async def test_a_stopping_service_sends_its_watchers_elsewhere(neighbours: Neighbourhood) -> None:
    application = neighbours.application()
    async with running(application) as channel:
        registration_id = await Desk(channel).register()
        watching = Watching(channel, registration_id)
        await watching.next()
        await application.drain()
        with pytest.raises(grpc.aio.AioRpcError) as end:
            await watching.rest()

    assert end.value.code() is grpc.StatusCode.UNAVAILABLE
    assert read_error(end.value).reason == "DRAINING"


async def test_nobodys_registration_is_not_watched(neighbours: Neighbourhood) -> None:
    async with running(neighbours.application()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await Watching(channel, "nobody").next()

    assert read_error(refusal.value).reason == "REGISTRATION_NOT_FOUND"
