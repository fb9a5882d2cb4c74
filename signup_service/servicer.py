"""SignupService: decode, one call, encode."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from baton.signup.v1 import signup_service_pb2 as pb
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceServicer
from mesh import page_token
from mesh.errors import NotBuilt
from signup_service import wire
from signup_service.registrar import Registrar
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
        trace_id = incoming_trace_id(context.invocation_metadata() or ()) or self._tracer.trace_id()
        runner, mode = wire.runner(request.registration), wire.mode(request.confirmation_mode)
        registration = await self._registrar.register(runner, mode, trace_id, request.request_id)
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

    def WatchRegistration(
        self, request: pb.WatchRegistrationRequest, context: Context
    ) -> AsyncIterator[pb.WatchRegistrationResponse]:
        """Promised by the contract."""
        raise NotBuilt("WatchRegistration")

    async def ResendConfirmation(
        self, request: pb.ResendConfirmationRequest, context: Context
    ) -> pb.ResendConfirmationResponse:
        """Promised by the contract."""
        raise NotBuilt("ResendConfirmation")

    async def CancelRegistration(
        self, request: pb.CancelRegistrationRequest, context: Context
    ) -> pb.CancelRegistrationResponse:
        """Promised by the contract."""
        raise NotBuilt("CancelRegistration")
