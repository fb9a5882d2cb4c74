"""What the sign-up service refuses, and why.

BatonError
|-- RegistrationNotFound   (NotFound)            no registration has that id
|-- RegistrationExists     (AlreadyExists)       the email address has a live registration
|-- RequestIdReused        (AlreadyExists)       the request id named another request before
|-- RegistrationCancelled  (FailedPrecondition)  the place was taken back, there is nothing to confirm
|-- QueueNotHandled        (FailedPrecondition)  the broker pushes a queue that is none of ours
`-- Draining               (Unavailable)         the service is stopping

BodyInvalid                                      a message of a queue that cannot be read; never leaves the service
"""

from datetime import timedelta

from mesh.errors import AlreadyExists, FailedPrecondition, NotFound, Unavailable


class RegistrationNotFound(NotFound):
    """No registration has that id."""

    def __init__(self, registration_id: str) -> None:
        super().__init__(
            "REGISTRATION_NOT_FOUND",
            "no registration has this id",
            resource_type="registration",
            resource_name=registration_id,
        )


class RegistrationExists(AlreadyExists):
    """The email address has a live registration; whose it is and what it says stays with its runner."""

    def __init__(self, email: str) -> None:
        super().__init__(
            "REGISTRATION_EXISTS",
            "this email address has a registration already",
            resource_type="registration",
            resource_name=email,
        )


class RequestIdReused(AlreadyExists):
    """The request id named a request with another content before."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            "REQUEST_ID_REUSED",
            "this request_id was used for another request",
            resource_type="request",
            resource_name=request_id,
        )


class RegistrationCancelled(FailedPrecondition):
    """The place was taken back, so that there is nothing to confirm."""

    def __init__(self, registration_id: str) -> None:
        super().__init__("REGISTRATION_CANCELLED", "this registration is cancelled", subject=registration_id)


class QueueNotHandled(FailedPrecondition):
    """The broker pushes a queue that is none of ours."""

    def __init__(self, queue: str) -> None:
        super().__init__("QUEUE_NOT_HANDLED", "the sign-up service does not consume this queue", subject=queue)


class Draining(Unavailable):
    """The service is stopping and takes on nothing new; another one, or this one restarted, will."""

    def __init__(self) -> None:
        super().__init__("DRAINING", "the service is stopping", retry_delay=timedelta(seconds=1))


class BodyInvalid(Exception):
    """A message of a queue does not hold what its queue is for."""
