"""Every command in the documents is run, as it stands there, against a mesh."""

import asyncio
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.processes import ROOT, MeshProcesses

pytestmark = pytest.mark.acceptance

DOCUMENTS = ("README.md", "docs/operations.md")
BLOCKS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAKE = re.compile(r"`make ([a-z-]+)`|^make ([a-z-]+) +#", re.MULTILINE)


def script(document: str) -> str:
    """A document's commands, in order: what one block sets, the next may use."""
    return "\n".join(BLOCKS.findall((ROOT / document).read_text(encoding="utf-8")))


async def run(text: str, folder: Path, mesh: MeshProcesses) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        text,
        cwd=folder,
        env=mesh.environment,  # who works with the mesh has its settings
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def answers(output: str) -> list[dict[str, object]]:
    """The JSON objects that buf curl printed."""
    decoder, found, rest = json.JSONDecoder(), [], output.lstrip()
    while rest:
        answer, end = decoder.raw_decode(rest)
        found.append(answer)
        rest = rest[end:].lstrip()
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
async def test_the_commands_of_a_document_work(mesh: MeshProcesses, document: str) -> None:
    await mesh.start()
    text = script(document)
    for there, here in (
        ("127.0.0.1:50051", mesh.signup.address),
        ("127.0.0.1:50052", mesh.queue.address),
        (".baton/email.sock", mesh.email.address.removeprefix("unix:")),
        (".venv/bin/", f"{Path(sys.executable).parent}/"),
    ):
        text = text.replace(there, here)

    output = await run(text, ROOT, mesh)

    assert output.count("{\n") >= 3


async def test_the_readme_tells_the_truth_about_its_queue(mesh: MeshProcesses) -> None:
    await mesh.start(mesh.queue)
    sends = script("README.md")
    sends = "\n".join([*sends.splitlines()[:3], sends[sends.index('call -d \'{"queue": {"name": "jobs"') :]])
    sends = sends.replace(".venv/bin/buf", str(Path(sys.executable).with_name("buf")))

    stats = answers(await run(sends.replace("127.0.0.1:50052", mesh.queue.address), mesh.folder, mesh))[-1]["stats"]

    assert isinstance(stats, dict)
    assert (stats["sentTotal"], stats["ackedTotal"]) == ("2", "1")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/operations.md", "docs/architecture.md"])
def test_every_make_target_that_a_document_names_exists(document: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = {name for pair in MAKE.findall((ROOT / document).read_text()) for name in pair if name}
    assert named <= targets


@pytest.mark.parametrize(
    "document",
    ["README.md", "CONTRIBUTING.md", *sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").glob("*.md"))],
)
def test_every_file_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(
        r"`((?:docs|protos|mesh|queue_service|email_service|signup_service|baton_client|examples|tests|scripts|stage|benchmarks)/[\w./]*)`",
        text,
    )

    missing = [name for name in named if not (ROOT / name).exists()]

    assert missing == []


def test_the_documented_settings_are_the_contracts() -> None:
    table = tomllib.loads((ROOT / "protos/baton/settings.toml").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| (BATON_\w+) \| (.*) \| (.*) \|$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)

    assert {name: {"meaning": meaning, "default": default} for name, meaning, default in rows} == table
