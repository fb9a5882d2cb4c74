"""A caller's name for a call, so that a repeat is told from a new one."""

import hashlib
import json
from dataclasses import dataclass

from signup_service.registration import Mode, Runner


@dataclass(frozen=True, slots=True)
class Request:
    """The request id, and a digest of what was asked: the same id must ask the same thing."""

    request_id: str
    digest: str


def register_request(request_id: str, runner: Runner, mode: Mode) -> Request | None:
    """The request to register; None when the caller did not name it."""
    if not request_id:
        return None
    asked = [runner.first_name, runner.last_name, runner.email, runner.address, runner.distance.name, mode.name]
    return _request(request_id, asked)


def resend_request(request_id: str, registration_id: str) -> Request | None:
    """The request to send a confirmation anew; None when the caller did not name it."""
    return _request(request_id, ["resend", registration_id]) if request_id else None


def _request(request_id: str, asked: list[str]) -> Request:
    return Request(request_id, hashlib.sha256(json.dumps(asked).encode()).hexdigest())
