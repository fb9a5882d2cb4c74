"""The emails to a runner as the email service takes them, called directly or through the broker."""

from baton.email.v1 import email_pb2, email_service_pb2
from mesh.outbox_entry import OutboxEntry
from mesh.wire_time import instant_to
from signup_service.queue_name import CONFIRMATIONS, EMAIL_REPORTS
from signup_service.race import Race
from signup_service.registration import Cause, Notice, Registration
from signup_service.trace_context import TRACEPARENT, Tracer

# What a runner reads whose place was taken back by the operator's rule.
_UNCONFIRMED = "We could not reach you by email for a long time, so the place was given back."


class RunnerEmail:
    """Writes the emails that tell a runner about the registration."""

    def __init__(self, race: Race, tracer: Tracer) -> None:
        self._race, self._tracer = race, tracer

    def confirmation(self, registration: Registration) -> email_service_pb2.SendEmailRequest:
        """The newest confirmation; its outcome is always reported too, so that a lost answer is made good."""
        email = self._email(registration, registration.confirmation)
        email.registration_confirmation.CopyFrom(self._confirmed(registration))
        return email_service_pb2.SendEmailRequest(email=email)

    def cancellation(self, registration: Registration) -> email_service_pb2.SendEmailRequest:
        """The email about a cancellation."""
        assert registration.cancellation is not None, "there is none"
        email = self._email(registration, registration.cancellation.notice)
        email.registration_cancellation.CopyFrom(self._cancelled(registration))
        return email_service_pb2.SendEmailRequest(email=email)

    def entry(self, registration: Registration, notice: Notice) -> OutboxEntry:
        """One of the registration's emails as a message for the broker, in the order of the registration's emails."""
        confirms = notice.key == registration.confirmation.key
        request = self.confirmation(registration) if confirms else self.cancellation(registration)
        return OutboxEntry(
            entry_id=notice.key,
            queue=CONFIRMATIONS,
            type_name=request.DESCRIPTOR.full_name,
            value=request.SerializeToString(deterministic=True),
            attributes={TRACEPARENT: self._tracer.parent(notice.trace_id)},
            order_key=registration.registration_id,
        )

    def _email(self, registration: Registration, notice: Notice) -> email_pb2.Email:
        return email_pb2.Email(
            idempotency_key=notice.key,
            to=registration.runner.email,
            report_queue=EMAIL_REPORTS,
            correlation_id=registration.registration_id,
        )

    def _confirmed(self, registration: Registration) -> email_pb2.RegistrationConfirmation:
        return email_pb2.RegistrationConfirmation(
            first_name=registration.runner.first_name,
            race=self._race.name,
            distance=registration.runner.distance.value,
            registration_id=registration.registration_id,
            start_time=instant_to(self._race.start),
            location=self._race.location,
        )

    def _cancelled(self, registration: Registration) -> email_pb2.RegistrationCancellation:
        cancellation = registration.cancellation
        assert cancellation is not None, "there is none"
        unasked = cancellation.cause is Cause.UNCONFIRMED
        return email_pb2.RegistrationCancellation(
            first_name=registration.runner.first_name,
            race=self._race.name,
            registration_id=registration.registration_id,
            reason=_UNCONFIRMED if unasked else cancellation.reason,
            distance=registration.runner.distance.value,
            start_time=instant_to(self._race.start),
        )
