"""A request with one thing wrong in it, and the values that are wrong in a field of some kind."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from mesh.duration import duration_text, parse_duration

Wrong = tuple[Any, tuple[str, ...]]

MIB = 1024 * 1024
INT32, INT64 = 2**31, 2**63
NAN, INFINITY = float("nan"), float("inf")


@dataclass(frozen=True, slots=True)
class Bad:
    """What is sent, the field that is wrong, what the sentence about it has to name, and how it is refused."""

    request: Any  # a message of any type
    field: str
    says: tuple[str, ...] = ()
    code: str = "INVALID_ARGUMENT"
    reason: str = "FIELD_INVALID"

    def __str__(self) -> str:
        return f"{self.field} {' '.join(self.says)}"[:70]


def each(make: Callable[[Any], Message], field: str, wrong: Iterable[Wrong]) -> Iterator[Bad]:
    """One row for each wrong value of a field."""
    for value, says in wrong:
        yield Bad(make(value), field, says)


def inside(make: Callable[[Any], Message], prefix: str, rows: Iterable[Bad]) -> Iterator[Bad]:
    """Rows of a message, inside another one."""
    for row in rows:
        yield Bad(make(row.request), f"{prefix}.{row.field}", row.says, row.code, row.reason)


def durations(least: str, most: str) -> Iterator[Wrong]:
    for beyond, word, limit in ((-1, "at least", least), (1, "at most", most)):
        seconds, nanos = divmod(parse_duration(limit) * 1_000 + beyond, 1_000_000_000)
        value = Duration(seconds=seconds, nanos=nanos) if seconds >= 0 else Duration(nanos=-1)
        yield value, (f"{word} {limit}", f"is {duration_text(value)}")
    yield Duration(seconds=-315_576_000_000), (f"at least {least}", "-315576000000s")
    yield Duration(seconds=315_576_000_000), (f"at most {most}", "315576000000s")
    for seconds, nanos in (
        *((1, -1), (-1, 1), (0, 1_000_000_000), (0, -INT32), (1, INT32 - 1)),
        *((315_576_000_001, 0), (-315_576_000_001, 0), (INT64 - 1, 0), (-INT64, 0)),
    ):
        said = ("no valid duration", f"{seconds} s", f"{nanos} ns")
        yield Duration(seconds=seconds, nanos=nanos), said


def times() -> Iterator[Wrong]:
    for seconds, nanos in (
        *((0, -1), (0, 1_000_000_000), (0, INT32 - 1), (0, -INT32)),
        *((253_402_300_800, 0), (-62_135_596_801, 0), (INT64 - 1, 0), (-INT64, 0)),
    ):
        yield Timestamp(seconds=seconds, nanos=nanos), ("no valid time", f"{seconds} s", f"{nanos} ns")


def texts(most: int, *, required: bool = False) -> Iterator[Wrong]:
    """Too long, in letters of one byte and of more, and empty where it is required."""
    yield "a" * (most + 1), (f"at most {most} bytes", f"has {most + 1}")
    yield "ü" * (most // 2 + 1), (f"at most {most} bytes", f"has {2 * (most // 2 + 1)}")
    yield "\U0001f3c3" * (most // 4 + 1), (f"at most {most} bytes", f"has {4 * (most // 4 + 1)}")
    if required:
        yield "", ("is required",)


def names(*, required: bool = True) -> Iterator[Wrong]:
    if required:
        yield "", ("is required",)
    for name in ("Work", "work-", "-work", "9work", "a" * 64, "work\n", "wörk", "a b", "a_b", "a\0", "a.b", " "):
        yield name, ("must match [a-z]([a-z0-9-]{0,61}[a-z0-9])?", repr(name)[:60])


def below_nought(bits: int = 32) -> Iterator[Wrong]:
    for value in (-1, -(2 ** (bits - 1))):
        yield value, ("at least 0", f"is {value}")


def whole_numbers(least: int, most: int, bits: int = 32) -> Iterator[Wrong]:
    for value in (least - 1, -(2 ** (bits - 1))):
        yield value, (f"at least {least}", f"is {value}")
    for value in (most + 1, 2 ** (bits - 1) - 1):
        yield value, (f"at most {most}", f"is {value}")


def numbers(least: float, most: float) -> Iterator[Wrong]:
    for value in (NAN, -INFINITY, least - 0.001, -1e308):
        yield value, (f"at least {least}", f"is {value}")
    for value in (INFINITY, most + 0.001, 1e308):
        yield value, (f"at most {most}", f"is {value}")


def codes() -> Iterator[Wrong]:
    yield ["c"] * 101, ("at most 100 items", "has 101")


def code_items() -> Iterator[Wrong]:
    for code in ("", "c" * 65, "ü" * 33):
        yield ["OK", code], ("1 to 64 bytes", f"has {len(code.encode())}")


def id_items() -> Iterator[Wrong]:
    for message_id in ("", "i" * 129, "ü" * 65):
        yield ["an id", message_id], ("1 to 128 bytes", f"has {len(message_id.encode())}")


def attributes(count: int, key_bytes: int, value_bytes: int = 0) -> dict[str, str]:
    return {f"{number:02}".ljust(key_bytes, "k"): "v" * value_bytes for number in range(count)}
