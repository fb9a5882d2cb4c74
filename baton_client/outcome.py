"""What a handler says of a message: nothing, which acks it, or one of these exceptions."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from baton.queue.v1 import message_pb2 as pb

#: The longest delay of a Retry or a Release.
MAX_DELAY = timedelta(days=7)
#: What the contract keeps of a failure's code and description, in bytes; the broker cuts what is longer.
MAX_CODE_BYTES = 64
MAX_DESCRIPTION_BYTES = 2048


class Outcome(Exception):
    """What is to become of a message: one of the four below. Raised by a handler, or given to `Message.settle`."""

    def settlement(self, lease_id: str) -> pb.Settlement:
        """What the broker is told."""
        raise NotImplementedError


class Ack(Outcome):
    """Done: the message goes. What a handler that returns says without a word."""

    def settlement(self, lease_id: str) -> pb.Settlement:
        """What the broker is told."""
        return pb.Settlement(lease_id=lease_id, ack=pb.Ack())


class Retry(Outcome):
    """Failed: again later, as long as the queue's retry policy has attempts left.

    Args:
        delay: when; None for the policy's own back-off, zero for at once. At most 7 days.
        code: what failed, for the record; programs may filter by it.
        description: the same for people.

    Raises:
        TypeError, ValueError: the delay is none, or out of bounds.
    """

    def __init__(self, delay: timedelta | None = None, *, code: str = "", description: str = "") -> None:
        super().__init__(code or "retry")
        self.delay = None if delay is None else _checked(delay)
        self.code, self.description = code, description

    def settlement(self, lease_id: str) -> pb.Settlement:
        """What the broker is told."""
        retry = pb.Retry(code=cut(self.code, MAX_CODE_BYTES), description=cut(self.description, MAX_DESCRIPTION_BYTES))
        if self.delay is not None:
            retry.delay.CopyFrom(as_duration(self.delay))
        return pb.Settlement(lease_id=lease_id, retry=retry)


class Release(Outcome):
    """Not now: again after ``delay``, of at most 7 days, at no cost. Raises as `Retry` does."""

    def __init__(self, delay: timedelta = timedelta()) -> None:
        super().__init__("release")
        self.delay = _checked(delay)

    def settlement(self, lease_id: str) -> pb.Settlement:
        """What the broker is told."""
        return pb.Settlement(lease_id=lease_id, release=pb.Release(delay=as_duration(self.delay)))


class Reject(Outcome):
    """Never again: to the dead letter queue now, whatever attempts are left.

    Args:
        code: why, for the record; a redrive may choose by it.
        description: the same for people.
    """

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(code)
        self.code, self.description = code, description

    def settlement(self, lease_id: str) -> pb.Settlement:
        """What the broker is told."""
        code, description = cut(self.code, MAX_CODE_BYTES), cut(self.description, MAX_DESCRIPTION_BYTES)
        return pb.Settlement(lease_id=lease_id, reject=pb.Reject(code=code, description=description))


def outcome_of(error: BaseException) -> Outcome:
    """What an exception that left a handler means: what it says, or a retry under the exception's name."""
    if isinstance(error, Outcome):
        return error
    return Retry(code=type(error).__name__, description=said_by(error))


def said_by(error: BaseException) -> str:
    """An exception's text; nothing where it has none to give."""
    try:
        return str(error)
    except Exception:  # a class of the caller's own
        return ""


def as_duration(delay: timedelta) -> Duration:
    """A delay as the wire has it."""
    duration = Duration()
    duration.FromTimedelta(delay)
    return duration


def _checked(delay: timedelta) -> timedelta:
    if not isinstance(delay, timedelta):
        raise TypeError(f"a delay must be a timedelta, is {delay!r}")
    if not timedelta() <= delay <= MAX_DELAY:
        raise ValueError(f"a delay must be from 0 to 7 days, is {delay}")
    return delay


def cut(text: str, most: int) -> str:
    """As much of a text as fits in that many bytes."""
    return text.encode(errors="replace")[:most].decode(errors="ignore")
