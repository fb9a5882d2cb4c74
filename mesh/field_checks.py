"""The checks a field rule compiles to: each takes a value and says what is wrong with it, or None.

A sentence names the limit and the value, so that the caller need not look either up.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from email_validator import EmailNotValidError
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from mesh.duration import duration_text, nanoseconds, parse_duration
from mesh.email_address import validated

# (value, an upper bound of the request's bytes) -> (path below the field, sentence), or None when all is well
Check = Callable[[Any, int], tuple[str, str] | None]
Measure = Callable[[Any], int]

# What Timestamp can hold: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, in seconds (google/protobuf/timestamp.proto).
_TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_800)
# A quoted value in a sentence is cut here: the caller knows what was sent, and the answer has to stay small.
_SHOWN = 64


def field_checks(field: FieldDescriptor, rules: Mapping[str, Any]) -> list[Check]:
    """The checks of one field, in the order in which to run them; raises KeyError with the name of no rule."""
    if unknown := sorted(rules.keys() - _RULES.keys() - _COMPANIONS):
        raise KeyError(unknown[0])
    checks = [make(rules[name], field) for name, make in _RULES.items() if name in rules]
    checks = [_with_says(check, rules) for check in checks]
    if field.enum_type is not None:
        checks.append(_known_enum(field))
    target = field.message_type.full_name if field.message_type is not None else ""
    if target == Duration.DESCRIPTOR.full_name:
        checks.insert(0, _valid_duration)
    if target == Timestamp.DESCRIPTOR.full_name:
        checks.insert(0, _valid_timestamp)
    return checks


def shown(value: object) -> str:
    """A value as a sentence shows it: quoted, and cut when long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def size_of(value: Any) -> int:
    """Bytes of a string as UTF-8, of bytes, of a map's keys and values, or of a message as serialised."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    if isinstance(value, Message):
        return value.ByteSize()
    if isinstance(value, Mapping):
        return sum(size_of(key) + size_of(item) for key, item in value.items())
    return len(value)


def measure(fields: Sequence[str]) -> Measure:
    """The bytes of some of a message's fields together."""

    def bytes_of(message: Message) -> int:
        return sum(size_of(value) for field, value in message.ListFields() if field.name in fields)

    return bytes_of


def whole_check(bytes_of: Measure, rule: Mapping[str, Any]) -> Check:
    """At most ``max_bytes`` in the measured fields of a message; the violation is put on the field ``as``."""
    limit: int = rule["max_bytes"]

    def check(message: Any, bound: int) -> tuple[str, str] | None:
        if bound <= limit or (size := bytes_of(message)) <= limit:
            return None
        return rule["as"], f"may have at most {limit} bytes with its {rule['with']}, has {size}"

    return check


def total_check(bytes_of: Measure, limit: int) -> Check:
    """At most ``limit`` bytes in all items of a repeated field together."""

    def check(items: Any, bound: int) -> tuple[str, str] | None:
        if bound <= limit or (size := sum(map(bytes_of, items))) <= limit:
            return None
        return "", f"may have at most {limit} bytes in all, has {size}"

    return check


def _valid_duration(value: Duration, _: int) -> tuple[str, str] | None:
    mixed = value.seconds * value.nanos < 0
    if mixed or not -999_999_999 <= value.nanos <= 999_999_999 or abs(value.seconds) > 315_576_000_000:
        return "", f"is no valid duration: {value.seconds} s and {value.nanos} ns"
    return None


def _valid_timestamp(value: Timestamp, _: int) -> tuple[str, str] | None:
    if value.seconds not in _TIMESTAMP_SECONDS or not 0 <= value.nanos <= 999_999_999:
        return "", f"is no valid time: {value.seconds} s and {value.nanos} ns since 1970"
    return None


def _known_enum(field: FieldDescriptor) -> Check:
    known = field.enum_type.values_by_number if field.enum_type is not None else {}

    def check(value: Any, _: int) -> tuple[str, str] | None:
        for index, number in enumerate(value if field.is_repeated else (value,)):
            if number not in known:
                names = ", ".join(sorted(v.name for v in known.values()))
                return f"[{index}]" if field.is_repeated else "", f"has no value {number}; there are {names}"
        return None

    return check


def _bound_check(limit: Any, field: FieldDescriptor, *, least: bool) -> Check:
    word = "at least" if least else "at most"
    if isinstance(limit, str):
        nanos = parse_duration(limit) * 1_000

        def check_duration(value: Any, _: int) -> tuple[str, str] | None:
            given = nanoseconds(value)
            if (given < nanos) if least else (given > nanos):
                return "", f"must be {word} {limit}, is {duration_text(value)}"
            return None

        return check_duration

    def check_number(value: Any, _: int) -> tuple[str, str] | None:
        inside = value >= limit if least else value <= limit  # NaN is inside nothing
        return None if inside else ("", f"must be {word} {limit}, is {value}")

    return check_number


def _max_bytes(limit: int, _: FieldDescriptor) -> Check:
    def check(value: Any, bound: int) -> tuple[str, str] | None:
        if bound <= limit or (size := size_of(value)) <= limit:
            return None
        return "", f"may have at most {limit} bytes, has {size}"

    return check


def _item_count(limit: int, _: FieldDescriptor, *, least: bool) -> Check:
    def check(value: Any, _: int) -> tuple[str, str] | None:
        count = len(value)
        if (count >= limit) if least else (count <= limit):
            return None
        return "", f"must have at {'least' if least else 'most'} {limit} items, has {count}"

    return check


def _item_bytes(bounds: tuple[int, int], _: FieldDescriptor) -> Check:
    least, most = bounds

    def check(value: Any, _: int) -> tuple[str, str] | None:
        for index, item in enumerate(value):
            if not least <= (size := size_of(item)) <= most:
                return f"[{index}]", f"must have {least} to {most} bytes, has {size}"
        return None

    return check


def _regex(pattern: str, field: FieldDescriptor) -> Check:
    matches = re.compile(pattern).fullmatch

    def check(value: Any, _: int) -> tuple[str, str] | None:
        return None if matches(value) else ("", f"must match {pattern}, is {shown(value)}")

    def check_keys(value: Any, _: int) -> tuple[str, str] | None:
        wrong = [key for key in value if not matches(key)]
        return (f"[{shown(wrong[0])}]", f"key must match {pattern}") if wrong else None

    def check_items(value: Any, _: int) -> tuple[str, str] | None:
        wrong = [(index, item) for index, item in enumerate(value) if not matches(item)]
        return (f"[{wrong[0][0]}]", f"must match {pattern}, is {shown(wrong[0][1])}") if wrong else None

    if field.message_type is not None:
        return check_keys
    return check_items if field.is_repeated else check


def _format(name: str, _: FieldDescriptor) -> Check:
    return {"json": _json, "email": _email}[name]


def _json(value: str, _: int) -> tuple[str, str] | None:
    try:
        json.loads(value, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return "", f"is no valid JSON: {error if isinstance(error, ValueError) else 'nested too deep'}"
    return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not in JSON (RFC 8259)")


def _email(value: str, _: int) -> tuple[str, str] | None:
    if "=?" in value:  # the standard library takes it for an encoded word (CVE-2024-6923), so no mail could go there
        return "", f"must not contain =?, is {shown(value)}"
    try:
        validated(value)
    except EmailNotValidError as error:
        return "", f"is no email address: {shown(value)}: {error}"
    return None


def _with_says(check: Check, rules: Mapping[str, Any]) -> Check:
    says = rules.get("says")
    if says is None:
        return check

    def saying(value: Any, bound: int) -> tuple[str, str] | None:
        found = check(value, bound)
        return None if found is None else (found[0], f"{found[1]}: {says}")

    return saying


_COMPANIONS = frozenset({"says"})
# Sizes come before what reads a whole value.
_RULES: dict[str, Callable[[Any, FieldDescriptor], Check]] = {
    "max_bytes": _max_bytes,
    "min_items": lambda limit, field: _item_count(limit, field, least=True),
    "max_items": lambda limit, field: _item_count(limit, field, least=False),
    "item_bytes": _item_bytes,
    "min": lambda limit, field: _bound_check(limit, field, least=True),
    "max": lambda limit, field: _bound_check(limit, field, least=False),
    "regex": _regex,
    "format": _format,
}
