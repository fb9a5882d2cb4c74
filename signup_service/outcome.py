"""What became of one email: news of it, and how it changes what is known.

News comes as the answer to a send, as a report, as a dead letter, and as the broker's word that a message was taken
back; more than once and in any order. Which of it counts is the table of `saga`; a mail that left, left.
"""

from dataclasses import dataclass, replace

from signup_service.registration import Notice, NoticeState

PENDING, SENT, FAILED, WITHDRAWN = NoticeState

# Bytes of an error that are kept, as many as the broker keeps of a failure's description.
MAX_ERROR_BYTES = 2_048


@dataclass(frozen=True, slots=True)
class Outcome:
    """One piece of news: PENDING is a failed try that may be followed by another.

    ``attempts`` is how many tries the teller knows of, itself included.
    """

    state: NoticeState
    attempts: int = 1
    error: str = ""
    email_id: str = ""


#: The email was taken back untried, or nobody will try it any more.
TAKEN_BACK = Outcome(WITHDRAWN, attempts=0)


@dataclass(frozen=True, slots=True)
class News:
    """An outcome and the email it is about, by its key; without a key, the newest confirmation of a registration."""

    registration_id: str
    key: str
    outcome: Outcome


def after(notice: Notice, outcome: Outcome, now: int) -> Notice:
    """What is known after news that counts; the very same object when it says nothing new."""
    newer = outcome.state is not notice.state or outcome.attempts > notice.attempts
    changed = replace(
        notice,
        state=outcome.state,
        attempts=max(notice.attempts, outcome.attempts),
        last_error=_cut(outcome.error) if newer and outcome.error else notice.last_error,
        email_id=notice.email_id or outcome.email_id,
    )
    return notice if changed == notice else replace(changed, update_time=now)


def _cut(error: str) -> str:
    # PostgreSQL has no NUL in a text, and a mail server may answer anything.
    return error.replace("\0", "").encode()[:MAX_ERROR_BYTES].decode(errors="ignore")
