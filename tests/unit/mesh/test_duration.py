"""Durations as people write them, and as protobuf carries them."""

import pytest
from google.protobuf.duration_pb2 import Duration

from mesh.duration import duration_text, nanoseconds, parse_duration


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("1us", 1),
        ("250ms", 250_000),
        ("5s", 5_000_000),
        ("0s", 0),
        ("1.5h", 5_400_000_000),
        ("2m", 120_000_000),
        ("4d", 345_600_000_000),
        (" 5s ", 5_000_000),
        ("0.1s", 100_000),
        ("0.0000001s", 0),
    ],
)
def test_a_written_duration_is_microseconds(text: str, microseconds: int) -> None:
    assert parse_duration(text) == microseconds


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 s", "1e3s", "5S", ".5s", "5.s", "5s5s", "5w", "inf"])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number and one of us, ms, s, m, h, d, such as 5s") as refusal:
        parse_duration(text)

    assert repr(text) in str(refusal.value)


def test_a_long_text_is_cut_in_the_refusal() -> None:
    with pytest.raises(ValueError, match="must be a number") as refusal:
        parse_duration("x" * 10_000)

    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("duration", "nanos", "text"),
    [
        (Duration(), 0, "0s"),
        (Duration(seconds=604_801), 604_801_000_000_000, "604801s"),
        (Duration(seconds=1, nanos=500_000_000), 1_500_000_000, "1.5s"),
        (Duration(nanos=1), 1, "0.000000001s"),
        (Duration(seconds=-1, nanos=-5), -1_000_000_005, "-1.000000005s"),
        (Duration(seconds=100), 100_000_000_000, "100s"),
    ],
)
def test_a_protobuf_duration_is_a_number_and_a_text(duration: Duration, nanos: int, text: str) -> None:
    assert nanoseconds(duration) == nanos
    assert duration_text(duration) == text
