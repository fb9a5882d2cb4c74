"""Registrations to test with."""

from signup_service.registration import Distance, Mode, Registration, Runner, registered
from tests.support.fake_clock import START


def runner(
    email: str = "ada@example.org", *, first_name: str = "Ada", distance: Distance = Distance.MARATHON
) -> Runner:
    return Runner(first_name, "Lovelace", email, "12 St James's Square, London", distance)


def registration(
    number: int = 1, email: str = "", *, mode: Mode = Mode.QUEUED, now: int = START, first_name: str = "Ada"
) -> Registration:
    """The registration with that number; ids sort by it."""
    registration_id = f"01900000-0000-7000-8000-{number:012d}"
    who = runner(email or f"runner{number}@example.org", first_name=first_name)
    return registered(registration_id, who, mode, f"{number:032x}", now)
