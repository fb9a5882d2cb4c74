import ssl

import pytest
from aiosmtplib import errors as smtp

from email_service.smtp_outcome import LetterTooLargeError, TlsMissingError, classify, is_refusal, needs_attention

ADDRESS = "runner@example.org"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (smtp.SMTPRecipientRefused(550, "no such user", ADDRESS), "SMTP_550"),
        (smtp.SMTPSenderRefused(553, "not you", ADDRESS), "SMTP_553"),
        (smtp.SMTPDataError(554, "spam"), "SMTP_554"),
        (LetterTooLargeError(100), "SMTP_552"),
        (smtp.SMTPNotSupported("SMTPUTF8"), "SMTP_NOT_SUPPORTED"),
    ],
)
def test_a_5xx_about_the_email_is_permanent(error: Exception, reason: str) -> None:
    failure = classify(error)

    assert (failure.reason, failure.permanent) == (reason, True)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (smtp.SMTPRecipientRefused(451, "later", ADDRESS), "SMTP_451"),
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
        (smtp.SMTPDataError(0, "no number at all"), "SMTP_SESSION_FAILED"),
        (smtp.SMTPDataError(999, "no number of any reply"), "SMTP_SESSION_FAILED"),
        (smtp.SMTPException("no way to log in"), "SMTP_SESSION_FAILED"),
        (TlsMissingError(), "SMTP_TLS_FAILED"),
        (smtp.SMTPSenderRefused(530, "log in first", ADDRESS), "SMTP_530"),
        (smtp.SMTPSenderRefused(538, "encrypt first", ADDRESS), "SMTP_538"),
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


@pytest.mark.parametrize("error", [smtp.SMTPServerDisconnected("gone"), smtp.SMTPReadTimeoutError("slow")])
def test_no_answer_to_a_whole_letter_is_said_to_leave_everything_open(error: Exception) -> None:
    before, after = classify(error), classify(error, transferred=True)

    assert (after.reason, after.permanent) == (before.reason, False)
    assert after.description == f"{before.description}; it may have the email"
    assert classify(smtp.SMTPDataError(451, "later"), transferred=True) == classify(smtp.SMTPDataError(451, "later"))


@pytest.mark.parametrize(
    ("error", "ready"),
    [
        (smtp.SMTPRecipientRefused(451, "later", ADDRESS), True),
        (smtp.SMTPDataError(554, "spam"), True),
        (LetterTooLargeError(100), True),
        (smtp.SMTPNotSupported("SMTPUTF8"), True),
        (smtp.SMTPDataError(421, "closing"), False),
        (smtp.SMTPDataError(250, "out of step"), False),
        (smtp.SMTPDataError(354, "out of step"), False),
        (smtp.SMTPResponseException(-1, "nonsense"), False),
        (smtp.SMTPReadTimeoutError("slow"), False),
        (RuntimeError("ours"), False),
    ],
)
def test_a_connection_is_used_again_after_a_plain_refusal_only(error: Exception, ready: bool) -> None:
    assert is_refusal(error) is ready


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        (smtp.SMTPAuthenticationError(535, "wrong password"), True),
        (smtp.SMTPConnectResponseError(554, "no service"), True),
        (smtp.SMTPSenderRefused(530, "log in first", ADDRESS), True),
        (smtp.SMTPException("no way to log in"), True),
        (TlsMissingError(), True),
        (smtp.SMTPSenderRefused(553, "not you", ADDRESS), False),
        (smtp.SMTPAuthenticationError(454, "not now"), False),
        (smtp.SMTPConnectError("refused"), False),
    ],
)
def test_a_person_is_called_when_the_server_keeps_us_out(error: Exception, needed: bool) -> None:
    assert needs_attention(error) is needed


def test_signs_that_nobody_can_read_are_left_out_of_a_reply() -> None:
    failure = classify(smtp.SMTPDataError(451, "try\x1b[31m\u202elater\x7f"))

    assert failure.description == "the mail server answered 451 try [31m later"


def test_a_long_reply_is_cut() -> None:
    failure = classify(smtp.SMTPDataError(451, "word " * 10_000))

    assert len(failure.description) < 1_000
