"""Runners and the broker, spoken to in few words."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc

from baton.queue.v1 import queue_pb2, queue_service_pb2
from baton.queue.v1.queue_service_pb2_grpc import QueueServiceStub
from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from mesh.channel import open_channel
from tests.support.eventually import WITHIN, eventually
from tests.support.processes import Service

if TYPE_CHECKING:
    from baton.queue.v1.queue_service_pb2_grpc import QueueServiceAsyncStub
    from baton.signup.v1.signup_service_pb2_grpc import SignupServiceAsyncStub

QUEUED = pb.CONFIRMATION_MODE_QUEUED

# Each of these tries waits for the service to be there.
_INSISTENCE = 20


def runner(number: int = 0) -> pb.Registration:
    """One of many runners, all different."""
    return pb.Registration(
        first_name=f"Ada{number}",
        last_name="Lovelace",
        email=f"runner-{number}@example.org",
        address="12 St James Square, London",
        distance=pb.DISTANCE_MARATHON,
    )


class SignUp:
    """The sign-up service as a web site sees it."""

    def __init__(self, stub: "SignupServiceAsyncStub") -> None:
        self._stub = stub

    async def register(
        self, who: pb.Registration, mode: "pb.ConfirmationMode.ValueType" = QUEUED, *, request_id: str = ""
    ) -> pb.Registration:
        """Register a runner; the registration as answered."""
        request = signup_service_pb2.RegisterRequest(registration=who, confirmation_mode=mode, request_id=request_id)
        response = await self._stub.Register(request, wait_for_ready=True, timeout=WITHIN)
        return response.registration

    async def insist(self, who: pb.Registration, mode: "pb.ConfirmationMode.ValueType") -> pb.Registration:
        """Register a runner, again when the connection broke and nobody knows whether it went through."""
        for _ in range(_INSISTENCE):
            try:
                return await self.register(who, mode, request_id=who.email)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
        raise AssertionError(f"{who.email} could not register in {_INSISTENCE} tries")

    async def register_all(self, count: int) -> list[pb.Registration]:
        """Register so many runners, QUEUED."""
        return [await self.register(runner(number)) for number in range(count)]

    async def find(self, registration: pb.Registration) -> pb.Registration:
        """The registration as it stands."""
        request = signup_service_pb2.GetRegistrationRequest(registration_id=registration.registration_id)
        response = await self._stub.GetRegistration(request, wait_for_ready=True)
        return response.registration

    async def all(self) -> Sequence[pb.Registration]:
        """Every registration."""
        request = signup_service_pb2.ListRegistrationsRequest()
        response = await self._stub.ListRegistrations(request, wait_for_ready=True)
        return response.registrations

    async def handed_over(self, registration: pb.Registration) -> pb.Registration:
        """Wait until the broker has the confirmation."""
        return await eventually(lambda: self.find(registration), lambda found: bool(found.confirmation.message_id))

    async def decided(self, registration: pb.Registration) -> pb.Registration:
        """Wait until the confirmation is sent or given up; the registration then."""
        return await eventually(lambda: self.find(registration), _decided)

    async def all_sent(self, registrations: Iterable[pb.Registration]) -> None:
        """Wait until every confirmation is decided; each must be SENT."""
        decided = await asyncio.gather(*(self.decided(registration) for registration in registrations))
        states = [pb.Confirmation.State.Name(registration.confirmation.state) for registration in decided]
        assert states == ["STATE_SENT"] * len(states)


@asynccontextmanager
async def signing_up(address: str) -> AsyncIterator[SignUp]:
    """A web site's connection to the sign-up service."""
    async with open_channel(address, packages=("signup",)) as channel:
        yield SignUp(SignupServiceStub(channel))


async def stored(service: Service, queue: str, count: int) -> queue_pb2.QueueStats:
    """Wait until the broker has stored ``count`` messages in a queue, all told."""
    async with open_channel(service.address, packages=("queue",)) as channel:
        stub = QueueServiceStub(channel)
        return await eventually(lambda: _stats(stub, queue), lambda found: found.sent_total >= count)


async def emptied(service: Service, queue: str) -> queue_pb2.QueueStats:
    """Wait until nothing is left in a queue: whatever it delivers, it has delivered."""
    async with open_channel(service.address, packages=("queue",)) as channel:
        stub = QueueServiceStub(channel)
        return await eventually(lambda: _stats(stub, queue), _empty)


def _decided(found: pb.Registration) -> bool:
    return found.confirmation.state in (pb.Confirmation.STATE_SENT, pb.Confirmation.STATE_FAILED)


def _empty(found: queue_pb2.QueueStats) -> bool:
    return found.sent_total > 0 and found.ready_count == found.delayed_count == found.leased_count == 0


async def _stats(stub: "QueueServiceAsyncStub", queue: str) -> queue_pb2.QueueStats:
    request = queue_service_pb2.GetQueueStatsRequest(name=queue)
    response = await stub.GetQueueStats(request, wait_for_ready=True)
    return response.stats
