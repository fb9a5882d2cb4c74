"""A service that cannot start says why in a sentence, and ends with an exit code that says so too."""

import socket
import sys
from collections.abc import Iterator

import pytest

from email_service.storage.schema import SCHEMA as EMAIL
from mesh.database import sqlite_url
from mesh.schema import Schema
from queue_service.storage.schema import SCHEMA as QUEUE
from signup_service.storage.schema import SCHEMA as SIGNUP
from tests.support.first_release import first_tables
from tests.support.processes import MeshProcesses, Program, Service, environment_with, free_port

pytestmark = pytest.mark.acceptance

# sysexits.h: EX_CONFIG and EX_UNAVAILABLE.
CONFIG, UNAVAILABLE = 78, 69

BROKEN_QUEUES = """
[[queues]]
name = "Errands"

[[queues]]
name = "letters"
delivry_delay = "5s"

[[queues]]
name = "parcels"
message_retention = "soon"

[[queues]]
name = "mails"
consumer = { max_batch_size = 5000 }
"""


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        yield server.getsockname()[1]


async def refusal(service: Service) -> tuple[int, list[str]]:
    code = await service.run()
    assert "Traceback" not in str(service.errors)
    assert str(service.output) == ""
    start = f"{service.name}_service cannot start: "
    return code, [line.removeprefix(start) for line in str(service.errors).splitlines() if line.startswith(start)]


@pytest.mark.parametrize("name", ["queue", "email", "signup"])
async def test_a_misspelt_setting_is_named_and_so_is_the_one_that_was_meant(mesh: MeshProcesses, name: str) -> None:
    mesh.set("BATON_QUEUE_LISTN", "127.0.0.1:1")
    mesh.set("BATON_GRACE", "soon")

    code, problems = await refusal(getattr(mesh, name))

    assert code == CONFIG
    assert problems[0] == "BATON_QUEUE_LISTN is no setting; did you mean BATON_QUEUE_LISTEN?"
    assert problems[1].startswith("BATON_GRACE: ")
    assert "'soon'" in problems[1]
    assert len(problems) == 2


async def test_every_mistake_in_the_file_of_queues_is_named_at_once(mesh: MeshProcesses) -> None:
    file = mesh.folder / "queues.toml"
    file.write_text(BROKEN_QUEUES)

    code, problems = await refusal(mesh.queue)

    assert code == CONFIG
    expected = [
        ("queues[0].name", "'Errands'"),
        ("queues[1].delivry_delay", "did you mean delivery_delay?"),
        ("queues[2].message_retention", "'soon'"),
        ("queues[3].consumer.max_batch_size", "5000"),
    ]
    for problem, (key, value) in zip(problems, expected, strict=True):
        assert problem.startswith(f"{file}: {key}: ")
        assert value in problem


async def test_a_file_of_queues_that_is_not_there_is_named(mesh: MeshProcesses) -> None:
    mesh.set("BATON_QUEUE_CONFIG", mesh.folder / "elsewhere.toml")

    code, problems = await refusal(mesh.queue)

    assert code == CONFIG
    assert len(problems) == 1
    assert str(mesh.folder / "elsewhere.toml") in problems[0]


@pytest.mark.parametrize("name", ["queue", "signup"])
async def test_a_taken_port_is_named(mesh: MeshProcesses, taken_port: int, name: str) -> None:
    mesh.set(f"BATON_{name.upper()}_LISTEN", f"127.0.0.1:{taken_port}")

    code, problems = await refusal(getattr(mesh, name))

    assert code == UNAVAILABLE
    assert problems == [f"127.0.0.1:{taken_port} is taken by another process"]


async def test_a_socket_at_which_another_process_answers_is_named(mesh: MeshProcesses) -> None:
    await mesh.start(mesh.email)
    other = another(mesh, "email", BATON_EMAIL_DATABASE_URL=f"sqlite:///{mesh.folder}/other.db")

    code, problems = await refusal(other)

    assert code == UNAVAILABLE
    assert len(problems) == 1
    assert problems[0].startswith(f"{mesh.email.address} is taken")


@pytest.mark.parametrize("name", ["queue", "email", "signup"])
async def test_a_database_that_another_process_uses_is_named(mesh: MeshProcesses, name: str) -> None:
    await mesh.start(getattr(mesh, name))
    other = another(mesh, name, **{f"BATON_{name.upper()}_LISTEN": f"127.0.0.1:{free_port()}"})

    code, problems = await refusal(other)

    assert code == CONFIG
    assert len(problems) == 1
    assert f"{name}.db is in use by another process" in problems[0]


@pytest.mark.parametrize("schema", [QUEUE, EMAIL, SIGNUP], ids=lambda schema: schema.service)
async def test_a_database_of_an_older_release_is_refused_with_the_command_that_helps(
    mesh: MeshProcesses, schema: Schema
) -> None:
    name = schema.service.removesuffix("_service")
    service: Service = getattr(mesh, name)
    (mesh.folder / "data").mkdir(mode=0o700)
    first_tables(sqlite_url(mesh.folder / "data" / f"{name}.db"), schema)

    code, problems = await refusal(service)

    assert code == CONFIG
    assert len(problems) == 1
    said, _, command = problems[0].rpartition("run: python ")
    assert f"the database has schema version {schema.first_number}, this release needs revision" in said
    migration = Program(sys.executable, *command.split(), environment=mesh.environment)
    assert await migration.run() == 0
    assert str(migration.output).startswith("the database is migrated from ")
    await mesh.start(service)


def another(mesh: MeshProcesses, name: str, **settings: str) -> Service:
    return Service(name, "nowhere", environment_with({**mesh.settings, **settings}))
