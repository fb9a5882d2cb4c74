"""Field rules: read once from the tables beside the contracts, compiled to plain functions, run on every request.

A table is TOML, one per package, ``field_rules.toml``: a message's full name, then a field's name, then its rules. See
the comment at the top of ``baton/queue/v1/field_rules.toml`` for the rules there are. A valid request costs one pass
over the fields that are set; the sentence for a person is made only for a field that breaks its rule.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from mesh.errors import Violation
from mesh.field_checks import Check, Measure, field_checks, measure, total_check, whole_check

Table = Mapping[str, Any]

# The key, in place of a field's name, of rules about a message as a whole, and what stands under it.
WHOLE = "*"
WHOLE_RULES = frozenset({"bytes_of", "max_bytes", "as", "with"})


class FieldRulesError(Exception):
    """A table names a message, field or rule that is not there."""


class _MessageCheck:
    """All rules of one message type, its nested messages included."""

    def __init__(self) -> None:
        self.required: list[tuple[Callable[[Message], bool], str]] = []
        self.checks: dict[int, list[Check]] = {}
        self.nested: dict[int, tuple[bool, str, _MessageCheck]] = {}
        self.whole: list[Check] = []
        self.measure: Measure | None = None

    @property
    def empty(self) -> bool:
        return not (self.required or self.checks or self.nested or self.whole)

    def run(self, message: Message, bound: int) -> list[Violation]:
        """What is wrong with each field of the message; ``bound`` is at least its size in bytes."""
        found: list[Violation] = []
        for absent, field in self.required:
            if absent(message):
                found.append(Violation(field, "is required"))
        for descriptor, value in message.ListFields():
            number = descriptor.number
            for check in self.checks.get(number, ()):
                if (said := check(value, bound)) is not None:
                    found.append(Violation(f"{descriptor.name}{said[0]}", said[1]))
                    break  # a value of the wrong size is read no further: with a hostile one that could take for ever
            else:
                if number in self.nested:
                    repeated, name, nested = self.nested[number]
                    found += nested.each(name, value, bound) if repeated else nested.inside(name, value, bound)
        for check in self.whole:
            if (said := check(message, bound)) is not None:
                found.append(Violation(*said))
        return found

    def inside(self, name: str, value: Message, bound: int) -> list[Violation]:
        return [Violation(f"{name}.{deep.field}", deep.description) for deep in self.run(value, bound)]

    def each(self, name: str, values: Iterable[Message], bound: int) -> list[Violation]:
        found: list[Violation] = []
        for index, value in enumerate(values):
            if inside := self.run(value, bound):
                found += [Violation(f"{name}[{index}].{deep.field}", deep.description) for deep in inside]
        return found


class FieldRules:
    """The rules of some packages, compiled.

    Args:
        packages: names of contracts, such as ``queue``.

    Raises:
        FieldRulesError: a table does not fit its contract.
    """

    def __init__(self, packages: Iterable[str]) -> None:
        self._tables: dict[str, Table] = {}
        self._compiled: dict[str, _MessageCheck] = {}
        for package in packages:
            folder = files("baton").joinpath(package, "v1")
            for module in sorted(file.name for file in folder.iterdir() if file.name.endswith("_pb2.py")):
                import_module(f"baton.{package}.v1.{module.removesuffix('.py')}")  # which adds it to the pool
            table = tomllib.loads(folder.joinpath("field_rules.toml").read_text(encoding="utf-8"))
            for name, fields in table.items():
                self._tables[f"baton.{package}.v1.{name}"] = fields
        for full_name in self._tables:
            self._compile(_descriptor(full_name))

    def check(self, message: Message, size: int) -> list[Violation]:
        """Every violation in a request of ``size`` bytes; empty when there is none."""
        compiled = self._compiled.get(message.DESCRIPTOR.full_name)
        return compiled.run(message, size) if compiled is not None else []

    def _compile(self, descriptor: Descriptor) -> _MessageCheck:
        if descriptor.full_name in self._compiled:
            return self._compiled[descriptor.full_name]
        compiled = self._compiled[descriptor.full_name] = _MessageCheck()
        table = self._tables.get(descriptor.full_name, {})
        for name in table:
            if name != WHOLE and name not in {*descriptor.fields_by_name, *descriptor.oneofs_by_name}:
                raise FieldRulesError(f"{descriptor.full_name} has no field {name}")
        for field in descriptor.fields:
            self._compile_field(compiled, field, dict(table.get(field.name, {})))
        for oneof in descriptor.oneofs:
            rules = dict(table.get(oneof.name, {}))
            if rules.pop("required", False):
                compiled.required.append((_oneof_absent(oneof.name), oneof.name))
            _refuse(f"{descriptor.full_name}.{oneof.name}", rules)
        if whole := table.get(WHOLE):
            _refuse(descriptor.full_name, whole.keys() ^ WHOLE_RULES)
            _refuse(descriptor.full_name, set(whole["bytes_of"]) - set(descriptor.fields_by_name))
            compiled.measure = measure(whole["bytes_of"])
            compiled.whole.append(whole_check(compiled.measure, whole))
        return compiled

    def _compile_field(self, compiled: _MessageCheck, field: FieldDescriptor, rules: dict[str, Any]) -> None:
        if rules.pop("output_only", False):
            return
        if rules.pop("required", False):
            compiled.required.append((_absent(field), field.name))
        target = field.message_type
        limit = rules.pop("max_total_bytes", None)
        try:
            checks = field_checks(field, rules)
        except KeyError as error:
            raise FieldRulesError(f"{field.full_name} cannot have the rule {error}") from error
        if target is not None and target.full_name.startswith("baton.") and not target.GetOptions().map_entry:
            nested = self._compile(target)
            if not nested.empty:
                compiled.nested[field.number] = (field.is_repeated, field.name, nested)
            if limit is not None and nested.measure is not None:
                checks.append(total_check(nested.measure, limit))
                limit = None
        _refuse(field.full_name, () if limit is None else ("max_total_bytes",))
        if checks:
            compiled.checks[field.number] = checks


def _descriptor(full_name: str) -> Descriptor:
    try:
        descriptor: Descriptor = descriptor_pool.Default().FindMessageTypeByName(full_name)
    except KeyError as error:
        raise FieldRulesError(f"no message {full_name}") from error
    return descriptor


def _refuse(full_name: str, wrong: Iterable[str]) -> None:
    """Raise when there is anything that a table may not, or must, say of a field or message."""
    if names := ", ".join(sorted(wrong)):
        raise FieldRulesError(f"{full_name} cannot have, or lacks, {names}")


def _absent(field: FieldDescriptor) -> Callable[[Message], bool]:
    if field.has_presence and not field.is_repeated:
        return lambda message: not message.HasField(field.name)
    return lambda message: not getattr(message, field.name)


def _oneof_absent(name: str) -> Callable[[Message], bool]:
    return lambda message: message.WhichOneof(name) is None
