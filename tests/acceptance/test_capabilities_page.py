"""The page of capabilities: its commands are run as they stand there, and the broker answers what it shows."""

import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, ServiceDescriptor

from baton.queue.v1 import consumer_service_pb2, producer_service_pb2, queue_service_pb2
from tests.support.grpcurl import BUILD_WITHIN, grpcurl
from tests.support.processes import ROOT, MeshProcesses, Program

pytestmark = pytest.mark.acceptance

PAGE = (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(sh|json|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "--- the next block"
WITHIN = 150.0
SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service
    for file in (consumer_service_pb2, producer_service_pb2, queue_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
)


@dataclass
class Block:
    """Commands, and what the page shows of their answers and of whatever else they write."""

    commands: str
    answers: list[Any] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def faults(self, written: str, known: dict[str, Any]) -> list[str]:
        """What is not as the page has it; what comes again is ``known`` by its name."""
        answers, text = read(written)
        matched = [-1]
        for shown in self.answers:
            rest = range(matched[-1] + 1, len(answers))
            found = next((place for place in rest if fits(shown, answers[place], dict(known))), None)
            if found is None:
                return [f"no answer like {json.dumps(shown)} in {written}"]
            fits(shown, answers[found], known)
            matched.append(found)
        hidden = [answer for place, answer in enumerate(answers) if place not in matched and "code" in answer]
        faults = [f"an error that the page does not show: {json.dumps(error)}" for error in hidden]
        said = [line.strip() for line in text.splitlines() if line.strip()]
        faults += [f"nobody said {line}, but {text}" for line in self.lines if line not in said]
        if said and not self.lines:
            faults.append(f"something else was said: {text}")
        return faults


def blocks() -> list[Block]:
    """The page's blocks of commands, in order, each with what is shown below it."""
    found: list[Block] = []
    for language, content in FENCE.findall(PAGE):
        if language == "sh":
            found.append(Block(content))
        elif language == "json":
            found[-1].answers += read(content)[0]
        else:
            found[-1].lines += [line.strip() for line in content.splitlines()]
    return found


def read(written: str) -> tuple[list[Any], str]:
    """The JSON objects that start on a line of their own, and the text around them."""
    decoder, answers, text, rest = json.JSONDecoder(), [], "", written
    while start := re.search(r"^\{", rest, re.MULTILINE):
        answer, end = decoder.raw_decode(rest, start.start())
        answers.append(answer)
        text, rest = text + rest[: start.start()], rest[end:]
    return answers, text + rest


def fits(shown: Any, answer: Any, known: dict[str, Any]) -> bool:
    """Whether an answer has what is shown of it; "..." stands for anything, "...cup" for the same each time."""
    if isinstance(shown, str) and shown.startswith("..."):
        return shown == "..." or known.setdefault(shown, answer) == answer
    if isinstance(shown, dict) and shown:
        return isinstance(answer, dict) and all(
            name in answer and fits(value, answer[name], known) for name, value in shown.items()
        )
    if isinstance(shown, list):
        return (
            isinstance(answer, list)
            and len(shown) == len(answer)
            and all(fits(part, one, known) for part, one in zip(shown, answer, strict=True))
        )
    return bool(shown == answer)


def fields(message: Descriptor, seen: set[str]) -> set[str]:
    """The names of all fields that a message can hold, at any depth, those of other packages left out."""
    if message.full_name in seen or not message.full_name.startswith("baton."):
        return set()
    seen.add(message.full_name)
    inner = {name for field in message.fields if field.message_type for name in fields(field.message_type, seen)}
    return inner | {field.name for field in message.fields if not message.GetOptions().map_entry}


@pytest.mark.timeout(BUILD_WITHIN + WITHIN + 60)
async def test_the_broker_answers_every_command_as_the_page_says(mesh: MeshProcesses) -> None:
    program = grpcurl()
    await mesh.start(mesh.queue)
    script = "\n".join(["exec 2>&1", *(f"{block.commands}echo '{END}'" for block in blocks())])
    script = script.replace("127.0.0.1:50052", mesh.queue.address)
    script = script.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    environment = mesh.environment | {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    page = mesh.folder / "page.sh"
    page.write_text(script, encoding="utf-8")
    shell = Program("bash", str(page), environment=environment)

    await shell.start()
    await shell.ended(within=WITHIN)

    written = str(shell.output).replace(mesh.queue.address, "127.0.0.1:50052").split(f"{END}\n")
    assert len(written) == len(blocks()) + 1
    known: dict[str, Any] = {}
    faults = [fault for block, text in zip(blocks(), written, strict=False) for fault in block.faults(text, known)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_the_page_calls_every_method(service: ServiceDescriptor) -> None:
    commands = "\n".join(block.commands for block in blocks())

    missing = [method.name for method in service.methods if f"{service.name}/{method.name} " not in commands]

    assert missing == []


def test_the_page_has_every_field_of_the_contract() -> None:
    seen: set[str] = set()
    named = {
        name
        for service in SERVICES
        for method in service.methods
        for message in (method.input_type, method.output_type)
        for name in fields(message, seen)
    }

    assert sorted(name for name in named if not re.search(rf"\b{name}\b", PAGE)) == []
