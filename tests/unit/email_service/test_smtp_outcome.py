import ssl

import pytest
from aiosmtplib import errors as smtp

from email_service.smtp_outcome import classify

ADDRESS = "runner@example.org"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (smtp.SMTPRecipientRefused(550, "no such user", ADDRESS), "SMTP_550"),
        (smtp.SMTPSenderRefused(553, "not you", ADDRESS), "SMTP_553"),
        (smtp.SMTPDataError(554, "spam"), "SMTP_554"),
        (smtp.SMTPRecipientsRefused([smtp.SMTPRecipientRefused(550, "no", ADDRESS)]), "SMTP_550"),
        (smtp.SMTPNotSupported("SMTPUTF8"), "SMTP_NOT_SUPPORTED"),
    ],
)
def test_a_5xx_about_the_email_is_permanent(error: Exception, reason: str) -> None:
    failure = classify(error)

    assert (failure.reason, failure.permanent) == (reason, True)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (smtp.SMTPRecipientsRefused([smtp.SMTPRecipientRefused(451, "later", ADDRESS)]), "SMTP_451"),
        (smtp.SMTPSenderRefused(421, "closing", ADDRESS), "SMTP_421"),
        (smtp.SMTPDataError(452, "full"), "SMTP_452"),
        (smtp.SMTPSenderRefused(250, "out of step", ADDRESS), "SMTP_250"),
        (smtp.SMTPConnectTimeoutError("slow"), "SMTP_TIMEOUT"),
        (smtp.SMTPReadTimeoutError("slow"), "SMTP_TIMEOUT"),
        (smtp.SMTPServerDisconnected("gone"), "SMTP_CONNECTION_FAILED"),
        (smtp.SMTPConnectError("refused"), "SMTP_CONNECTION_FAILED"),
        (ConnectionRefusedError(), "SMTP_CONNECTION_FAILED"),
        (ssl.SSLError("bad certificate"), "SMTP_TLS_FAILED"),
        (smtp.SMTPResponseException(-1, "Malformed SMTP response line"), "SMTP_SESSION_FAILED"),
        (smtp.SMTPException("no way to log in"), "SMTP_SESSION_FAILED"),
    ],
)
def test_everything_else_is_temporary(error: Exception, reason: str) -> None:
    failure = classify(error)

    assert (failure.reason, failure.permanent) == (reason, False)


@pytest.mark.parametrize(
    "error",
    [
        smtp.SMTPAuthenticationError(535, "wrong password"),
        smtp.SMTPConnectResponseError(554, "no service"),
        smtp.SMTPHeloError(550, "who are you"),
    ],
)
def test_a_5xx_to_our_own_login_fails_no_email_for_good(error: smtp.SMTPResponseException) -> None:
    failure = classify(error)

    assert (failure.reason, failure.permanent) == (f"SMTP_{error.code}", False)


def test_a_reply_that_is_no_text_can_be_stored_and_sent() -> None:
    reply = b"try\xff later\nplease\0".decode("utf-8", "surrogateescape")

    failure = classify(smtp.SMTPDataError(451, reply))

    assert failure.description.encode() == b"the mail server answered 451 try? later please"


def test_a_long_reply_is_cut() -> None:
    failure = classify(smtp.SMTPDataError(451, "word " * 10_000))

    assert len(failure.description) < 1_000
