"""What an error of an SMTP conversation means for the email: pure functions of the exception."""

import ssl

from aiosmtplib import errors as smtp

from email_service.failure import Failure, printable

TLS_FAILED = "SMTP_TLS_FAILED"
SESSION_FAILED = "SMTP_SESSION_FAILED"

# Only these answer a command about the email itself. A 5xx to the greeting, EHLO, STARTTLS or AUTH is about our own
# connection or password, and must not fail the emails that happen to be on their way.
_ABOUT_THE_EMAIL = (smtp.SMTPSenderRefused, smtp.SMTPRecipientRefused, smtp.SMTPDataError)
# A reply number begins with 2 to 5 and has three digits (RFC 5321, 4.2); anything else is no reply.
_REPLIES = range(200, 600)
# A server says to any command that it wants a login first, or another one (RFC 4954, 4 and 6).
_LOGIN_WANTED = frozenset({530, 534, 535, 538})
_CLOSING = 421


class TlsMissingError(smtp.SMTPException):
    """The server offers no TLS where it is required."""

    def __init__(self) -> None:
        super().__init__("STARTTLS is not offered")


class LetterTooLargeError(smtp.SMTPException):
    """The letter is larger than the server says it takes (RFC 1870)."""

    def __init__(self, most: int) -> None:
        super().__init__(f"no letter above {most} bytes is taken")
        self.most = most


def classify(error: Exception, *, transferred: bool = False) -> Failure:
    """Permanent for a refusal of the email itself, temporary for everything else.

    Args:
        error: what ended the conversation.
        transferred: the letter was sent whole, so without a reply nobody knows what became of it.
    """
    if isinstance(error, smtp.SMTPResponseException) and error.code in _REPLIES:
        return _answered(error)
    if isinstance(error, LetterTooLargeError):
        return Failure("SMTP_552", f"the mail server takes no email above {error.most} bytes", permanent=True)
    if isinstance(error, smtp.SMTPNotSupported):
        return Failure("SMTP_NOT_SUPPORTED", "the mail server cannot take this recipient's address", permanent=True)
    reason, description = _unanswered(error)
    return Failure(reason, f"{description}; it may have the email" if transferred else description)


def is_refusal(error: Exception) -> bool:
    """Whether the server said no and is ready for the next letter; after anything else the two are out of step."""
    if isinstance(error, LetterTooLargeError | smtp.SMTPNotSupported):
        return True
    return isinstance(error, smtp.SMTPResponseException) and error.code in range(400, 600) and error.code != _CLOSING


def is_full(error: Exception) -> bool:
    """Whether a server that would not let us in may do so later: too many connections are answered like this."""
    return isinstance(error, smtp.SMTPResponseException) and error.code in range(400, 500)


def needs_attention(error: Exception) -> bool:
    """Whether the server does not let this service in, and will not until somebody changes something."""
    failure = classify(error)
    lasting = failure.reason in {TLS_FAILED, SESSION_FAILED} or failure.reason.startswith("SMTP_5")
    return lasting and not failure.permanent


def _answered(error: smtp.SMTPResponseException) -> Failure:
    permanent = isinstance(error, _ABOUT_THE_EMAIL) and error.code >= 500 and error.code not in _LOGIN_WANTED
    description = f"the mail server answered {error.code} {printable(error.message)}".rstrip()
    return Failure(f"SMTP_{error.code}", description, permanent)


def _unanswered(error: Exception) -> tuple[str, str]:
    if isinstance(error, TlsMissingError):
        return TLS_FAILED, "the mail server offers no TLS, which is required"
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return TLS_FAILED, "no TLS with the mail server; its certificate may not be trusted here"
    if isinstance(error, TimeoutError):
        return "SMTP_TIMEOUT", "the mail server did not answer in time"
    if isinstance(error, smtp.SMTPException) and not isinstance(error, ConnectionError):
        return SESSION_FAILED, "the mail server and this service have no way to talk in common"
    return "SMTP_CONNECTION_FAILED", "the connection to the mail server failed"
