"""The sign-up service as a web site sees it."""

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2 as calls
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from examples.demo.cast import Runner
from mesh.channel import open_channel

if TYPE_CHECKING:
    from baton.signup.v1.signup_service_pb2_grpc import SignupServiceAsyncStub

PENDING, SENT, FAILED, WITHDRAWN = (
    pb.Confirmation.STATE_PENDING,
    pb.Confirmation.STATE_SENT,
    pb.Confirmation.STATE_FAILED,
    pb.Confirmation.STATE_WITHDRAWN,
)
SEQUENTIAL, BACKGROUND, QUEUED = (
    pb.CONFIRMATION_MODE_SEQUENTIAL,
    pb.CONFIRMATION_MODE_BACKGROUND,
    pb.CONFIRMATION_MODE_QUEUED,
)

# Seconds: a SEQUENTIAL call waits for the mail server.
_TIMEOUT = 30.0


class SignUp:
    """Its calls in few words.

    Args:
        target: where the service is.
    """

    def __init__(self, target: str) -> None:
        self._channel = open_channel(target, packages=("signup",), timeout=_TIMEOUT)
        self._stub: SignupServiceAsyncStub = SignupServiceStub(self._channel)

    async def register(self, runner: Runner, mode: "pb.ConfirmationMode.ValueType") -> tuple[pb.Registration, float]:
        """Register a runner; the registration as answered, and the seconds until the answer."""
        registration = pb.Registration(
            first_name=runner.name, last_name="Runner", email=runner.email, distance=pb.DISTANCE_MARATHON
        )
        request = calls.RegisterRequest(registration=registration, confirmation_mode=mode, request_id=runner.email)
        begun = time.monotonic()
        response = await self._stub.Register(request)
        return response.registration, time.monotonic() - begun

    async def watch(self, registration_id: str) -> AsyncIterator[pb.Registration]:
        """The registration as it stands, and after each change, until its confirmation is decided."""
        request = calls.WatchRegistrationRequest(registration_id=registration_id)
        async for response in self._stub.WatchRegistration(request):
            yield response.registration

    async def get(self, registration_id: str) -> pb.Registration:
        """The registration as it stands."""
        request = calls.GetRegistrationRequest(registration_id=registration_id)
        return (await self._stub.GetRegistration(request)).registration

    async def resend(self, registration_id: str) -> None:
        """Send the confirmation anew."""
        request = calls.ResendConfirmationRequest(registration_id=registration_id, request_id=registration_id)
        await self._stub.ResendConfirmation(request)

    async def cancel(self, registration_id: str, reason: str) -> pb.Registration:
        """Take the place back."""
        request = calls.CancelRegistrationRequest(registration_id=registration_id, reason=reason)
        return (await self._stub.CancelRegistration(request)).registration

    async def all(self) -> list[pb.Registration]:
        """Every registration."""
        found: list[pb.Registration] = []
        token = ""
        while True:
            response = await self._stub.ListRegistrations(
                calls.ListRegistrationsRequest(page_size=1000, page_token=token)
            )
            found += response.registrations
            token = response.next_page_token
            if not token:
                return found

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()


def state(confirmation: pb.Confirmation) -> str:
    """Where a confirmation stands, in the contract's word."""
    return pb.Confirmation.State.Name(confirmation.state).removeprefix("STATE_")


def outcome(confirmation: pb.Confirmation) -> str:
    """Where a confirmation stands, after how many tries, and why."""
    tried = f" after {confirmation.attempts} tries" if confirmation.attempts > 1 else ""
    error = f" ({confirmation.last_error})" if confirmation.last_error else ""
    return f"{state(confirmation)}{tried}{error}"
