"""Instants as protobuf carries them."""

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.clock import SECOND


def timestamp(instant: int) -> Timestamp:
    """An instant for the wire."""
    seconds, rest = divmod(instant, SECOND)
    return Timestamp(seconds=seconds, nanos=rest * 1_000)


def instant(stamp: Timestamp) -> int:
    """An instant off the wire, cut to whole microseconds."""
    return stamp.seconds * SECOND + stamp.nanos // 1_000
