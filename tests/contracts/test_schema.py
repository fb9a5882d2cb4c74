"""The .proto files: well formed, documented, self-contained, and never broken for those who use them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2 as pb

from tests.support.tool import ROOT, contract_files, run, tool

# What a comment can stand on, as field numbers of descriptor.proto: (of what, its parts), down from a file.
_ENUM: dict[int, tuple[str, object]] = {2: ("value", {})}
_MESSAGE: dict[int, tuple[str, object]] = {2: ("field", {}), 4: ("enum_type", _ENUM), 8: ("oneof_decl", {})}
_MESSAGE[3] = ("nested_type", _MESSAGE)
_FILE = {4: ("message_type", _MESSAGE), 5: ("enum_type", _ENUM), 6: ("service", {2: ("method", {})})}


@pytest.mark.parametrize("command", [("lint",), ("format", "--diff", "--exit-code"), ("build",)], ids=" ".join)
def test_buf_finds_nothing_to_say(command: tuple[str, ...]) -> None:
    done = run(tool("buf"), *command)

    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_that_was_agreed_is_broken() -> None:
    done = run(tool("buf"), "breaking", "--against", "protos/baseline.binpb")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("queue/v1/message.proto", "string deduplication_id = 7;", "bytes deduplication_id = 7;"),
        ("queue/v1/message.proto", "string deduplication_id = 7;", "string deduplication_name = 7;"),
        ("queue/v1/message.proto", "string deduplication_id = 7;", "string deduplication_id = 77;"),
        ("email/v1/email_service.proto", "rpc GetEmail(", "rpc ReadEmail("),
    ],
)
def test_a_planted_break_is_caught(copied_contracts: Path, file: str, before: str, after: str) -> None:
    path = copied_contracts / "protos" / "baton" / file
    text = path.read_text()
    assert before in text

    path.write_text(text.replace(before, after))
    done = run(tool("buf"), "breaking", "--against", ROOT / "protos" / "baseline.binpb", folder=copied_contracts)

    assert done.returncode == 100
    assert Path(file).name in done.stdout


def test_every_element_has_a_comment(described: pb.FileDescriptorSet) -> None:
    bare = [name for file in described.file for name in uncommented(file)]

    assert bare == []


def test_a_missing_comment_would_be_found(described: pb.FileDescriptorSet) -> None:
    file = next(file for file in described.file if file.name.endswith("email_service.proto"))
    stripped = pb.FileDescriptorProto()
    stripped.CopyFrom(file)
    stripped.source_code_info.location[-1].leading_comments = ""

    assert len(list(uncommented(stripped))) >= len(list(uncommented(file)))
    del stripped.source_code_info.location[:]
    assert f"{file.name}: EmailService" in list(uncommented(stripped))


def test_a_contract_imports_nothing_but_what_protoc_brings(described: pb.FileDescriptorSet) -> None:
    own = set(contract_files())

    foreign = {name for file in described.file for name in file.dependency if name not in own}

    assert {file.name for file in described.file} == own
    assert all(name.startswith("google/protobuf/") for name in foreign), foreign


def test_a_contract_imports_only_its_own_package(described: pb.FileDescriptorSet) -> None:
    crossing = {
        (file.name, name)
        for file in described.file
        for name in file.dependency
        if name.startswith("baton/") and Path(name).parent != Path(file.name).parent
    }

    assert crossing == set()


def test_every_file_says_where_its_code_goes_in_other_languages(described: pb.FileDescriptorSet) -> None:
    for file in described.file:
        options = file.options

        assert options.go_package, file.name
        assert options.java_multiple_files, file.name
        assert options.java_package, file.name


def uncommented(file: pb.FileDescriptorProto) -> Iterator[str]:
    """The elements of a file without a comment in front of them."""
    commented = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments.strip()}
    for path, name in elements(file, _FILE, (), ""):
        if path not in commented:
            yield f"{file.name}: {name}"


def elements(
    parent: object, parts: object, path: tuple[int, ...], prefix: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    """Every element below a descriptor with its path, but for what protoc makes up."""
    assert isinstance(parts, dict)
    for number, (attribute, below) in parts.items():
        for index, child in enumerate(getattr(parent, attribute)):
            made_up = attribute == "nested_type" and child.options.map_entry
            made_up = made_up or (attribute == "oneof_decl" and child.name.startswith("_"))
            if not made_up:
                where, name = (*path, number, index), f"{prefix}{child.name}"
                yield where, name
                yield from elements(child, below, where, f"{name}.")
