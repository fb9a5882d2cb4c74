"""The confirmation as the email service takes it, called directly or through the broker."""

from baton.email.v1 import email_pb2, email_service_pb2
from mesh.outbox import OutboxEntry
from mesh.wire_time import instant_to
from signup_service.queue_name import CONFIRMATIONS, EMAIL_REPORTS
from signup_service.race import Race
from signup_service.registration import Registration
from signup_service.trace_context import TRACEPARENT, Tracer


class ConfirmationEmail:
    """Writes the email that tells a runner about the registration."""

    def __init__(self, race: Race, tracer: Tracer) -> None:
        self._race, self._tracer = race, tracer

    def request(self, registration: Registration) -> email_service_pb2.SendEmailRequest:
        """The email; its outcome is always reported too, so that a lost answer is made good."""
        email = email_pb2.Email(
            idempotency_key=registration.confirmation.key,
            to=registration.runner.email,
            registration_confirmation=self._content(registration),
            report_queue=EMAIL_REPORTS,
            correlation_id=registration.registration_id,
        )
        return email_service_pb2.SendEmailRequest(email=email)

    def entry(self, registration: Registration) -> OutboxEntry:
        """The email as a message for the broker."""
        request = self.request(registration)
        return OutboxEntry(
            entry_id=registration.confirmation.key,
            queue=CONFIRMATIONS,
            type_name=request.DESCRIPTOR.full_name,
            value=request.SerializeToString(deterministic=True),
            attributes={TRACEPARENT: self._tracer.parent(registration.confirmation.trace_id)},
        )

    def _content(self, registration: Registration) -> email_pb2.RegistrationConfirmation:
        return email_pb2.RegistrationConfirmation(
            first_name=registration.runner.first_name,
            race=self._race.name,
            distance=registration.runner.distance.value,
            registration_id=registration.registration_id,
            start_time=instant_to(self._race.start),
            location=self._race.location,
        )
