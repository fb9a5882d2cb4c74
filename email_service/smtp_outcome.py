"""What an error of an SMTP conversation means for the email: a pure function of the exception."""

import ssl

from aiosmtplib import errors as smtp

from email_service.failure import Failure, printable

# Only these answer a command about the email itself. A 5xx to the greeting, EHLO, STARTTLS or AUTH is about our own
# connection or password, and must not fail the emails that happen to be on their way.
_ABOUT_THE_EMAIL = (smtp.SMTPSenderRefused, smtp.SMTPRecipientRefused, smtp.SMTPDataError)


def classify(error: Exception) -> Failure:
    """Permanent for a 5xx about the email, temporary for everything else."""
    if isinstance(error, smtp.SMTPRecipientsRefused) and error.recipients:
        return classify(error.recipients[0])
    if isinstance(error, smtp.SMTPResponseException) and error.code > 0:
        return _answered(error)
    if isinstance(error, smtp.SMTPNotSupported):
        return Failure("SMTP_NOT_SUPPORTED", "the mail server cannot take this recipient's address", permanent=True)
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return Failure("SMTP_TLS_FAILED", "no TLS with the mail server; its certificate may not be trusted here")
    if isinstance(error, TimeoutError):
        return Failure("SMTP_TIMEOUT", "the mail server did not answer in time")
    if isinstance(error, smtp.SMTPException) and not isinstance(error, ConnectionError):
        return Failure("SMTP_SESSION_FAILED", "the mail server and this service have no way to talk in common")
    return Failure("SMTP_CONNECTION_FAILED", "the connection to the mail server failed")


def _answered(error: smtp.SMTPResponseException) -> Failure:
    permanent = isinstance(error, _ABOUT_THE_EMAIL) and 500 <= error.code <= 599
    description = f"the mail server answered {error.code} {printable(error.message)}".rstrip()
    return Failure(f"SMTP_{error.code}", description, permanent)
