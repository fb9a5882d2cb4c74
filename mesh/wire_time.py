"""Instants and durations (`mesh.clock`) as protobuf carries them; what is finer than a microsecond is cut."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mesh.clock import SECOND


def duration_of(duration: Duration) -> int:
    """Microseconds of a duration that the field rules have let pass."""
    return duration.seconds * SECOND + duration.nanos // 1_000


def duration_to(duration: int) -> Duration:
    """A duration of that many microseconds, not negative."""
    seconds, rest = divmod(duration, SECOND)
    return Duration(seconds=seconds, nanos=rest * 1_000)


def instant_of(timestamp: Timestamp) -> int:
    """The instant of a timestamp."""
    return timestamp.seconds * SECOND + timestamp.nanos // 1_000


def instant_to(instant: int) -> Timestamp:
    """The timestamp of an instant."""
    seconds, rest = divmod(instant, SECOND)
    return Timestamp(seconds=seconds, nanos=rest * 1_000)
