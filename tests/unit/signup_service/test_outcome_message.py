"""Reports and dead letters, read."""

import pytest
from google.protobuf.message import Message

from baton.email.v1 import email_pb2, email_service_pb2
from baton.queue.v1 import message_pb2
from signup_service.errors import BodyInvalid
from signup_service.outcome import FAILED, SENT, News, Outcome
from signup_service.outcome_message import from_dead_letter, from_report


def typed(body: Message, dead_letter: message_pb2.DeadLetter | None = None) -> message_pb2.QueueMessage:
    value = message_pb2.TypedBody(type_name=body.DESCRIPTOR.full_name, value=body.SerializeToString())
    return message_pb2.QueueMessage(typed=value, dead_letter=dead_letter)


def confirmation() -> email_service_pb2.SendEmailRequest:
    return email_service_pb2.SendEmailRequest(email=email_pb2.Email(correlation_id="r1", idempotency_key="k1"))


def test_a_report_says_what_became_of_which_registration() -> None:
    sent = email_pb2.EmailReport(
        email_id="e1", idempotency_key="k1", correlation_id="r1", state=email_pb2.Email.STATE_SENT
    )
    failed = email_pb2.EmailReport(correlation_id="r2", state=email_pb2.Email.STATE_FAILED, error="SMTP_550: no")

    assert from_report(typed(sent)) == News("r1", "k1", Outcome(SENT, email_id="e1"))
    assert from_report(typed(failed)) == News("r2", "", Outcome(FAILED, error="SMTP_550: no"))


def test_a_dead_letter_says_how_often_it_was_tried_and_what_the_newest_failure_was() -> None:
    letter = message_pb2.DeadLetter(reason=message_pb2.DeadLetter.REASON_MAX_RETRIES, attempts=3)
    letter.failures.add(attempt=3, code="SMTP_451", description="busy")
    letter.failures.add(attempt=2, code="UNAVAILABLE")

    assert from_dead_letter(typed(confirmation(), letter)) == News(
        "r1",
        "k1",
        Outcome(FAILED, attempts=3, error="SMTP_451: busy"),
    )


def test_a_dead_letter_that_was_never_tried_says_why_it_died() -> None:
    letter = message_pb2.DeadLetter(reason=message_pb2.DeadLetter.REASON_EXPIRED)

    assert from_dead_letter(typed(confirmation(), letter)) == News(
        "r1", "k1", Outcome(FAILED, attempts=0, error="EXPIRED")
    )


@pytest.mark.parametrize(
    "message",
    [
        message_pb2.QueueMessage(text="SENT"),
        message_pb2.QueueMessage(),
        typed(confirmation()),
        typed(email_pb2.EmailReport(correlation_id="r1", state=email_pb2.Email.STATE_SENDING)),
        message_pb2.QueueMessage(
            typed=message_pb2.TypedBody(type_name="baton.email.v1.EmailReport", value=b"\xff\xff\xff")
        ),
    ],
    ids=["text", "empty", "another type", "not final", "not protobuf"],
)
def test_a_report_that_is_none_is_refused(message: message_pb2.QueueMessage) -> None:
    with pytest.raises(BodyInvalid):
        from_report(message)


def test_a_confirmation_that_did_not_die_is_no_dead_letter() -> None:
    with pytest.raises(BodyInvalid):
        from_dead_letter(typed(confirmation()))
