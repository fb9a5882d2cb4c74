"""How a push call ended, and what that means for the messages it carried: pure decisions."""

from dataclasses import dataclass
from datetime import timedelta

from mesh.clock import microseconds
from mesh.status import RemoteError
from queue_service.admission import MAX_DELAY
from queue_service.push.breaker import UNREACHABLE
from queue_service.settlement import Ack, Action, Reject, Release, Retry

#: Answers of a method by which it says that no repeat will do better (gRPC's guide to status codes).
REJECTING = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"})

# What a call ends with when its message killed the handler. A wrong address never does, so it never costs.
_KILLING = frozenset({"UNAVAILABLE"})


@dataclass(frozen=True, slots=True)
class CallEnd:
    """A call's end: ``error`` is None when it ended OK."""

    error: RemoteError | None = None

    @property
    def unreached(self) -> bool:
        """Whether the target was not reached: with an ErrorInfo it is the handler's own answer."""
        return self.error is not None and self.error.code in UNREACHABLE and not self.error.reason

    def of_batch(self, *, costs: bool) -> Action:
        """What becomes of the messages of a batch that no response settled.

        Args:
            costs: whether a call that did not reach its target spends an attempt.
        """
        if self.error is None:
            return Ack()
        if self.unreached and not (costs and self.error.code in _KILLING):
            return Release()
        return _retry(self.error)

    def of_method(self, *, costs: bool) -> Action:
        """What becomes of the one message of a method call."""
        if self.error is None or self.error.code == "ALREADY_EXISTS":
            return Ack()
        if self.error.code in REJECTING:
            return Reject(self.error.code, _description(self.error))
        return self.of_batch(costs=costs)


def _retry(error: RemoteError) -> Retry:
    delay = error.retry_delay
    return Retry(
        delay=None if delay is None else min(microseconds(max(delay, timedelta())), MAX_DELAY),
        code=error.code,
        description=_description(error),
    )


def _description(error: RemoteError) -> str:
    return f"{error.reason}: {error.message}" if error.reason else error.message
