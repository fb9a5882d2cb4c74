"""SignupService: decode, one call, encode."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from baton.signup.v1 import signup_service_pb2 as pb
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceServicer
from mesh import page_token
from signup_service import wire
from signup_service.registrar import Registrar
from signup_service.registration import Cause
from signup_service.trace_context import Tracer, incoming_trace_id

#: What the runner reads.
THANKS = "Thanks for registering for our Marathon"

Context = grpc.aio.ServicerContext[Any, Any]


class SignupServicer(SignupServiceServicer):
    """Answers for a `Registrar`."""

    def __init__(self, registrar: Registrar, tracer: Tracer) -> None:
        self._registrar, self._tracer = registrar, tracer

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterResponse:
        """Register a runner."""
        runner, mode = wire.runner(request.registration), wire.mode(request.confirmation_mode)
        registration = await self._registrar.register(runner, mode, self._trace(context), request.request_id)
        return pb.RegisterResponse(registration=wire.registration(registration), message=THANKS)

    async def GetRegistration(self, request: pb.GetRegistrationRequest, context: Context) -> pb.GetRegistrationResponse:
        """Read one registration."""
        registration = await self._registrar.find(request.registration_id)
        return pb.GetRegistrationResponse(registration=wire.registration(registration))

    async def ListRegistrations(
        self, request: pb.ListRegistrationsRequest, context: Context
    ) -> pb.ListRegistrationsResponse:
        """List a page of registrations, oldest first."""
        after, size = page_token.decode(request.page_token), page_token.page_size(request.page_size)
        # One more than asked for says whether there is another page.
        found = await self._registrar.page(after, size + 1, wire.state_filter(request.confirmation_state))
        return wire.page(found, size)

    async def WatchRegistration(
        self, request: pb.WatchRegistrationRequest, context: Context
    ) -> AsyncIterator[pb.WatchRegistrationResponse]:
        """Send a registration as it stands, then after each change."""
        async with aclosing(self._registrar.watch(request.registration_id)) as states:
            async for state in states:
                yield pb.WatchRegistrationResponse(registration=wire.registration(state))

    async def ResendConfirmation(
        self, request: pb.ResendConfirmationRequest, context: Context
    ) -> pb.ResendConfirmationResponse:
        """Send a confirmation anew."""
        registration = await self._registrar.resend(request.registration_id, self._trace(context), request.request_id)
        return pb.ResendConfirmationResponse(registration=wire.registration(registration))

    async def CancelRegistration(
        self, request: pb.CancelRegistrationRequest, context: Context
    ) -> pb.CancelRegistrationResponse:
        """Take a place back."""
        registration = await self._registrar.cancel(request.registration_id, Cause.REQUESTED, request.reason)
        return pb.CancelRegistrationResponse(registration=wire.registration(registration))

    def _trace(self, context: Context) -> str:
        return incoming_trace_id(context.invocation_metadata() or ()) or self._tracer.trace_id()
