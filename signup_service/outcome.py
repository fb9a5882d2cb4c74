"""What becomes of a confirmation: the one rule by which news of its email change it.

News come as the answer to a send, as a report, and as a dead letter; more than once and in any order.

    state    news of PENDING    news of SENT    news of FAILED
    PENDING  PENDING            SENT            FAILED
    FAILED   -                  SENT            FAILED
    SENT     -                  SENT            -           a mail that left, left
"""

from dataclasses import dataclass, replace

from signup_service.registration import Confirmation, ConfirmationState

PENDING, SENT, FAILED = ConfirmationState.PENDING, ConfirmationState.SENT, ConfirmationState.FAILED

_MAY_BECOME = {PENDING: {PENDING, SENT, FAILED}, FAILED: {SENT, FAILED}, SENT: {SENT}}

# Bytes of an error that are kept, as many as the broker keeps of a failure's description.
MAX_ERROR_BYTES = 2_048


@dataclass(frozen=True, slots=True)
class Outcome:
    """One piece of news: PENDING is a failed try that may be followed by another.

    ``attempts`` is how many tries the teller knows of, itself included.
    """

    state: ConfirmationState
    attempts: int = 1
    error: str = ""
    email_id: str = ""


def after(confirmation: Confirmation, outcome: Outcome, now: int) -> Confirmation:
    """The confirmation after an outcome; the very same object when the outcome says nothing new."""
    if outcome.state not in _MAY_BECOME[confirmation.state]:
        return confirmation
    newer = outcome.state is not confirmation.state or outcome.attempts > confirmation.attempts
    changed = replace(
        confirmation,
        state=outcome.state,
        attempts=max(confirmation.attempts, outcome.attempts),
        last_error=_cut(outcome.error) if newer and outcome.error else confirmation.last_error,
        email_id=confirmation.email_id or outcome.email_id,
    )
    return confirmation if changed == confirmation else replace(changed, update_time=now)


def _cut(error: str) -> str:
    # PostgreSQL has no NUL in a text, and a mail server may answer anything.
    return error.replace("\0", "").encode()[:MAX_ERROR_BYTES].decode(errors="ignore")
