"""Queues declared in a file: read, checked by the contract's own rules, every problem named at once.

The file is TOML with the contract's field names: ``[[queues]]`` tables, durations as ``"5s"``, and in ``push.address``
the name of a service of the mesh or any gRPC target.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict, ParseError

from baton.queue.v1 import queue_pb2
from mesh.duration import parse_duration
from mesh.field_checks import shown
from mesh.field_rules import FieldRules
from mesh.wire_time import duration_to
from queue_service.errors import DeadLetterCycle
from queue_service.queue_definition import Queue, settable
from queue_service.queue_encoding import decode_queue

_DURATION = Duration.DESCRIPTOR.full_name
_NOT_DECLARED = {
    field.full_name for field in queue_pb2.Queue.DESCRIPTOR.fields if field.name not in settable(Queue(""))
}


class DeclarationError(Exception):
    """A file of declared queues cannot be used; ``problems`` names file, key, value and what is allowed."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_declared(path: Path, services: Mapping[str, str], rules: FieldRules) -> list[Queue]:
    """The queues declared in a file.

    Args:
        path: the file.
        services: addresses by the names that ``push.address`` may use.
        rules: the field rules of the queue contract.

    Raises:
        DeclarationError: the file is not there, is no TOML, or breaks a rule.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DeclarationError([f"{path}: {error}"]) from error
    return parse_declared(text, str(path), services, rules)


def parse_declared(text: str, origin: str, services: Mapping[str, str], rules: FieldRules) -> list[Queue]:
    """The queues that a text declares; as `read_declared`, with ``origin`` in place of the file's name.

    Raises:
        DeclarationError: the text is no TOML, or breaks a rule.
    """
    try:
        declared = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise DeclarationError([f"{origin}: {error}"]) from error
    tables = declared.get("queues", [])
    problems = [
        f"{origin}: {key} is not known (it is {shown(declared[key])}); only [[queues]] is"
        for key in sorted(declared.keys() - {"queues"})
    ]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise DeclarationError([*problems, f"{origin}: queues must be tables: [[queues]]"])
    queues = []
    for index, table in enumerate(tables):
        key = f"{origin}: queues[{index}]"
        found, queue = _read(table, services, rules)
        problems += [f"{key}.{problem}" for problem in found]
        queues.append(queue)
    problems += [f"{origin}: queue {name!r} is declared twice" for name in _repeated(queues)]
    problems += [f"{origin}: {DeadLetterCycle(circle).message}" for circle in _circles(queues)]
    if problems:
        raise DeclarationError(problems)
    return queues


def _read(table: dict[str, Any], services: Mapping[str, str], rules: FieldRules) -> tuple[list[str], Queue]:
    encoded = queue_pb2.Queue()
    if problems := list(_convert(table, encoded.DESCRIPTOR)):
        return problems, Queue("")
    try:
        ParseDict(table, encoded)
    except ParseError as error:
        return [str(error)], Queue("")
    problems = [f"{found.field}: {found.description}" for found in rules.check(encoded, encoded.ByteSize())]
    if encoded.consumer.HasField("push"):
        push = encoded.consumer.push
        push.address = services.get(push.address, push.address)
    return problems, decode_queue(encoded)


def _convert(table: dict[str, Any], descriptor: Descriptor) -> Iterator[str]:
    """Turn durations into protobuf's JSON, in place, and name what the contract does not have."""
    for key, value in table.items():
        field = descriptor.fields_by_name.get(key)
        if field is None:
            nearest = difflib.get_close_matches(key, descriptor.fields_by_name, n=1)
            yield f"{key}: is not known (it is {shown(value)})" + (f"; did you mean {nearest[0]}?" if nearest else "")
        elif field.full_name in _NOT_DECLARED:
            yield f"{key}: is set by the broker and cannot be declared (it is {shown(value)})"
        elif field.message_type is not None and field.message_type.full_name == _DURATION:
            yield from _convert_duration(table, key, value)
        elif field.message_type is not None and isinstance(value, dict):
            yield from (f"{key}.{problem}" for problem in _convert(value, field.message_type))
        elif isinstance(value, bool) or not isinstance(value, _allowed(field)):
            yield f"{key}: must be {_words(field)}, is {value!r}"


def _convert_duration(table: dict[str, Any], key: str, value: Any) -> Iterator[str]:
    try:
        table[key] = duration_to(parse_duration(str(value))).ToJsonString()
    except ValueError as error:
        yield f"{key}: {error}"


def _allowed(field: FieldDescriptor) -> tuple[type, ...]:
    kinds: dict[int, tuple[type, ...]] = {
        FieldDescriptor.CPPTYPE_INT32: (int,),
        FieldDescriptor.CPPTYPE_INT64: (int,),
        FieldDescriptor.CPPTYPE_DOUBLE: (int, float),
        FieldDescriptor.CPPTYPE_STRING: (str,),
    }
    return kinds.get(field.cpp_type, (dict,))


def _words(field: FieldDescriptor) -> str:
    names = {int: "a whole number", float: "a number", str: "a string", dict: "a table"}
    return " or ".join(names[kind] for kind in _allowed(field))


def _repeated(queues: list[Queue]) -> list[str]:
    names = [queue.name for queue in queues if queue.name]
    return sorted({name for name in names if names.count(name) > 1})


def _circles(queues: list[Queue]) -> Iterator[tuple[str, ...]]:
    """Each circle in which the dead letters of these queues would go round, once."""
    follows = {queue.name: queue.consumer.dead_letter_queue for queue in queues if queue.name}
    seen: set[str] = set()
    for start in follows:
        name, path = start, []
        while name in follows and name not in seen:
            seen.add(name)
            path.append(name)
            name = follows[name]
        if name in path:
            yield (*path[path.index(name) :], name)
