"""The distributions: what is in each wheel, and that a service runs with only what its own wheel asks for."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.tool import ROOT
from tests.support.wheelhouse import DISTRIBUTIONS, build, contents, environment, requirements

PACKAGE = {name: name for name in DISTRIBUTIONS} | {"protos": "baton"}
DATA = {
    "protos": {
        *("baton/settings.toml", "baton/queue/v1/field_rules.toml", "baton/queue/v1/service_config.json"),
        *("baton/queue/v1/message.proto", "baton/queue/v1/message_pb2.py", "baton/queue/v1/message_pb2.pyi"),
        *("baton/email/v1/field_rules.toml", "baton/signup/v1/service_config.json"),
        *("baton/mesh/v1/field_rules.toml", "baton/mesh/v1/service_config.json", "baton/mesh/v1/outbox_service.proto"),
    },
    "mesh": {"mesh/migrations/script.py.mako"},
    "queue_service": {"queue_service/queues.toml", "queue_service/storage/migrations/r0001_first_release.py"},
    "email_service": {"email_service/templates/registration_confirmation.txt"},
    "signup_service": set(),
    "baton_client": set(),
}


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: build(name, tmp_path_factory.mktemp(name)) for name in DISTRIBUTIONS}


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory, wheels: dict[str, Path]) -> Path:
    """An environment with the broker and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("isolated")
    return environment(folder, *(wheels[name] for name in ("protos", "mesh", "queue_service")))


def sources(name: str) -> set[str]:
    """The Python files that a wheel has to have."""
    top = ROOT / "protos" / "baton" if name == "protos" else ROOT / name
    return {f"{PACKAGE[name]}/{path.relative_to(top).as_posix()}" for path in top.rglob("*.py")}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_wheel_has_its_package_whole_its_data_and_its_types(wheels: dict[str, Path], name: str) -> None:
    files = contents(wheels[name])

    assert sources(name) - files == set()
    assert DATA[name] - files == set()
    assert f"{PACKAGE[name]}/py.typed" in files


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_wheel_has_nothing_else(wheels: dict[str, Path], name: str) -> None:
    files = contents(wheels[name])

    assert {file.split("/")[0] for file in files} == {PACKAGE[name]}
    assert [file for file in files if "test" in file or "__pycache__" in file or file.startswith((".", "/"))] == []
    assert [file for file in files if Path(file).name in {"pyproject.toml", "generate.py", "baseline.binpb"}] == []


def test_every_template_is_in_the_email_services_wheel(wheels: dict[str, Path]) -> None:
    templates = {f"email_service/templates/{path.name}" for path in (ROOT / "email_service" / "templates").iterdir()}

    assert templates <= contents(wheels["email_service"])


def test_every_contract_and_its_tables_are_in_the_contracts_wheel(wheels: dict[str, Path]) -> None:
    root = ROOT / "protos"
    kinds = ("proto", "toml", "json")
    data = {path.relative_to(root).as_posix() for kind in kinds for path in root.glob(f"baton/**/*.{kind}")}

    assert data <= contents(wheels["protos"])


@pytest.mark.parametrize("name", ["queue_service", "email_service", "signup_service"])
def test_a_service_needs_contracts_and_mesh_and_no_other_service(wheels: dict[str, Path], name: str) -> None:
    needed = {one.name for one in requirements(wheels[name]) if one.name.startswith("baton")}

    assert needed == {"baton-contracts", "baton-mesh"}


def test_the_contracts_need_only_grpc_and_protobuf(wheels: dict[str, Path]) -> None:
    assert {one.name for one in requirements(wheels["protos"])} == {"grpcio", "protobuf"}


def test_the_client_needs_the_contracts_and_grpc_alone(wheels: dict[str, Path]) -> None:
    assert {one.name for one in requirements(wheels["baton_client"])} == {"baton-contracts", "grpcio"}


def test_the_client_is_usable_from_its_wheels_alone(tmp_path: Path, wheels: dict[str, Path]) -> None:
    python = environment(tmp_path / "alone", wheels["protos"], wheels["baton_client"])

    code = (
        "import baton_client, sys; sys.exit(any(name in sys.modules for name in ('mesh', 'google.rpc', 'structlog')))"
    )
    done = subprocess.run([python, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_broker_runs_from_its_wheels_alone(python: Path, tmp_path: Path) -> None:
    with started(python, tmp_path) as (process, address):
        with grpc.insecure_channel(address) as channel:
            request = health_pb2.HealthCheckRequest(service="baton.queue.v1.ProducerService")
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=20, wait_for_ready=True)

        process.send_signal(signal.SIGTERM)

        assert process.wait(30) == 0
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert (tmp_path / "data" / "queue.db").exists()


def test_the_broker_migrates_its_database_from_its_wheels_alone(python: Path, tmp_path: Path) -> None:
    settings = {"BATON_DATA_DIR": str(tmp_path / "data")}
    command = [str(python), "-m", "queue_service", "migrate"]

    done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the database is migrated from nothing to revision ")


@pytest.mark.parametrize("absent", ["email_service", "signup_service", "tests", "jinja2", "aiosmtplib", "pytest"])
def test_where_the_broker_is_installed_nothing_foreign_is(python: Path, tmp_path: Path, absent: str) -> None:
    done = subprocess.run([python, "-c", f"import {absent}"], cwd=tmp_path, env={}, capture_output=True, text=True)

    assert f"No module named '{absent}'" in done.stderr


@contextmanager
def started(python: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The broker, run from an empty folder, and the address that its log names."""
    work = folder / "empty"
    work.mkdir()
    settings = {"BATON_DATA_DIR": str(folder / "data"), "BATON_QUEUE_LISTEN": "127.0.0.1:0", "PATH": os.defpath}
    command = [str(python), "-m", "queue_service"]
    with subprocess.Popen(command, cwd=work, env=settings, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            lines = []
            for line in process.stderr:
                lines.append(line)
                if line.startswith("{") and json.loads(line)["action"] == "serving":
                    yield process, json.loads(line)["listen"]
                    return
            raise AssertionError("it ended before it served:\n" + "".join(lines))
        finally:
            process.kill()
