"""The email service as a `Mailer`: gRPC's errors become outcomes here and go no further."""

from typing import TYPE_CHECKING

import grpc

from mesh.status import RemoteError, read_error
from signup_service.mailer import Answer
from signup_service.outcome import FAILED, PENDING, SENT, Outcome
from signup_service.registration import Registration
from signup_service.runner_email import RunnerEmail
from signup_service.trace_context import TRACEPARENT, Tracer

if TYPE_CHECKING:  # the asynchronous stub is a type only: at run time there is one stub for both
    from baton.email.v1.email_service_pb2_grpc import EmailServiceAsyncStub

# Nothing is decided: the mail server is busy, the service away, or its answer lost. SendEmail may be repeated.
_TEMPORARY = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL", "UNKNOWN", "CANCELLED"}
)


class EmailClient:
    """Sends confirmations by calling the email service."""

    def __init__(self, service: "EmailServiceAsyncStub", email: RunnerEmail, tracer: Tracer) -> None:
        self._service, self._email, self._tracer = service, email, tracer

    async def send(self, registration: Registration, timeout: float) -> Answer:
        """Try to send the confirmation."""
        request = self._email.confirmation(registration)
        metadata = ((TRACEPARENT, self._tracer.parent(registration.confirmation.trace_id)),)
        try:
            response = await self._service.SendEmail(request, timeout=timeout, metadata=metadata)
        except grpc.RpcError as error:
            return _failure(read_error(error))
        return Answer(Outcome(SENT, attempts=response.email.attempts, email_id=response.email.email_id))


def _failure(error: RemoteError) -> Answer:
    state = PENDING if error.code in _TEMPORARY else FAILED
    # Without a reason it is gRPC's own text, which tells of addresses and paths: nothing for a caller to read.
    said = str(error) if error.reason else f"{error.code}: the email service did not answer"
    return Answer(Outcome(state, error=said), error.retry_delay)
