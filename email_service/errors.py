"""What the email service refuses, as its callers are told.

mesh.errors.BatonError
|-- EmailNotFound          NOT_FOUND            no email of that id
|-- IdempotencyKeyReused   ALREADY_EXISTS       the key stands for other content
|-- SendInProgress         ABORTED              the same email is being sent at this moment
|-- EmailDelayed           UNAVAILABLE          the last try failed; another one may succeed
|-- EmailHeldBack          RESOURCE_EXHAUSTED   it was not tried; its turn comes later
|-- EmailRefused           FAILED_PRECONDITION  the mail server refused it for good
`-- BodyInvalid            INVALID_ARGUMENT     a queued message that is no email
"""

from datetime import timedelta

from mesh.errors import (
    Aborted,
    AlreadyExists,
    BatonError,
    FailedPrecondition,
    NotFound,
    ResourceExhausted,
    Unavailable,
)

# A conversation with a mail server takes about this long.
IN_PROGRESS_DELAY = timedelta(seconds=1)


class EmailNotFound(NotFound):
    """There is no email of that id."""

    def __init__(self, email_id: str) -> None:
        super().__init__(
            "EMAIL_NOT_FOUND", "there is no email of that id", resource_type="email", resource_name=email_id
        )


class IdempotencyKeyReused(AlreadyExists):
    """The idempotency key stands for an email with other content."""

    def __init__(self, key: str) -> None:
        super().__init__(
            "IDEMPOTENCY_KEY_REUSED",
            "this idempotency_key was used for an email with other content",
            resource_type="email",
            resource_name=key,
        )


class SendInProgress(Aborted):
    """The same email is being sent at this moment."""

    def __init__(self) -> None:
        super().__init__("IN_PROGRESS", "this email is being sent", retry_delay=IN_PROGRESS_DELAY)


class EmailDelayed(Unavailable):
    """The try failed for the time being."""

    def __init__(self, reason: str, description: str, retry_delay: timedelta) -> None:
        super().__init__(reason, description, retry_delay=retry_delay)


class EmailHeldBack(ResourceExhausted):
    """The email was not tried, and no attempt is counted."""

    def __init__(self, description: str, retry_delay: timedelta) -> None:
        super().__init__("RATE_LIMITED", description, retry_delay=retry_delay)


class EmailRefused(FailedPrecondition):
    """The mail server refused the email for good."""

    def __init__(self, reason: str, description: str, email_id: str) -> None:
        super().__init__(reason, description, subject=email_id)


class BodyInvalid(BatonError):
    """The body of a queued message is no SendEmailRequest."""

    code = "INVALID_ARGUMENT"

    def __init__(self, description: str) -> None:
        super().__init__("BODY_INVALID", description)
