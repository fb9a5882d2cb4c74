"""Who may import whom. Each rule is shown to bite on a planted line."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.python_source import (
    CLIENT,
    PACKAGES,
    PROGRAMS,
    SERVICES,
    imports_any,
    imports_protobuf,
    modules,
    names,
    read,
)
from tests.support.tool import ROOT

# Where the wire is spoken besides mesh: composition roots, servicers, encodings and outgoing calls.
WIRE = {
    Path("queue_service", name)
    for name in (
        "app.py",
        "consumer_servicer.py",
        "declared_queues.py",
        "delivery_encoding.py",
        "delivery_stream.py",
        "message_encoding.py",
        "peek_encoding.py",
        "producer_servicer.py",
        "push/batch_call.py",
        "push/method_call.py",
        "push/pusher.py",
        "push/target.py",
        "queue_encoding.py",
        "queue_servicer.py",
        "redrive_encoding.py",
        "send_stream.py",
        "settlement_encoding.py",
        "status_encoding.py",
        "stream_request.py",
    )
}
WIRE |= {
    Path("email_service", name)
    for name in ("app.py", "batch_handler.py", "codec.py", "queued_email.py", "report.py", "servicer.py")
}
WIRE |= {
    Path("signup_service", name)
    for name in (
        "app.py",
        "batch_handler.py",
        "email_client.py",
        "outcome_message.py",
        "runner_email.py",
        "servicer.py",
        "wire.py",
    )
}
SQL_IN_MESH = {
    Path("mesh", f"{name}.py")
    for name in (
        *("database", "nul_text", "outbox_table", "sql_outbox", "schema", "sqlite_file", "backup"),
        *("migration", "migrations/env", "revision_scripts", "table_rewrite"),
    )
}
# What is needed only when a database is migrated, and costs a start its time.
ALEMBIC_IN_MESH = {
    Path("mesh", f"{name}.py") for name in ("migration", "migrations/env", "revision_scripts", "table_rewrite")
}
# The broker's rules, which know neither how they are called nor where things are kept.
BROKER_DOMAIN = [
    Path("queue_service", f"{name}.py")
    for name in (
        "message",
        "settlement",
        "delivery_state",
        "retry_policy",
        "queue_definition",
        "lease_id",
        "catalog",
        "reaper",
        "ready_signal",
        "writer",
        "admission",
        "backlog",
        "leasing",
        "pull",
        "redrive",
        "redriver",
        "window",
    )
]
NOW = (
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
    *("time.time", "time.time_ns"),
)
ENVIRONMENT = ("os.environ", "os.getenv", "os.environb")


def in_storage(module: Path) -> bool:
    return module.parts[1:2] == ("storage",)


def is_revision(module: Path) -> bool:
    """One of them turned columns into the bytes that the edge makes since."""
    return module.parts[1:3] == ("storage", "migrations")


@pytest.mark.parametrize("service", SERVICES)
def test_services_never_import_each_other(service: str) -> None:
    sisters = [other for other in SERVICES if other != service]

    found = {module: imports_any(read(module), *sisters) for module in modules(service)}

    assert {module: names for module, names in found.items() if names} == {}


def test_mesh_imports_no_service() -> None:
    assert {module for module in modules("mesh") if imports_any(read(module), *SERVICES)} == set()


def test_the_contracts_import_no_code_of_ours() -> None:
    assert {module for module in modules("protos") if imports_any(read(module), *PACKAGES)} == set()


def test_the_client_knows_the_contracts_and_nothing_else_of_ours() -> None:
    ours = [package for package in PACKAGES if package != CLIENT]

    assert {
        module for module in modules(CLIENT) if imports_any(read(module), *ours, "google.rpc", "grpc_status")
    } == set()


def test_no_service_needs_the_client() -> None:
    assert {module for module in modules("mesh", *SERVICES) if imports_any(read(module), CLIENT)} == set()


def test_nothing_imports_the_tests() -> None:
    assert {module for module in modules(*PACKAGES, *PROGRAMS) if imports_any(read(module), "tests")} == set()


def test_what_shows_and_measures_the_mesh_is_imported_by_nothing_in_it() -> None:
    assert {module for module in modules(*PACKAGES) if imports_any(read(module), *PROGRAMS)} == set()


def test_the_wire_is_spoken_only_at_the_edge() -> None:
    speaking = {module for module in modules(*SERVICES) if imports_protobuf(read(module)) and not is_revision(module)}

    assert speaking == WIRE


@pytest.mark.parametrize("module", BROKER_DOMAIN, ids=lambda module: module.stem)
def test_the_brokers_rules_know_neither_wire_nor_database(module: Path) -> None:
    assert imports_protobuf(read(module)) | imports_any(read(module), "sqlalchemy", "sqlite3") == set()


def test_sql_is_spoken_only_in_storage() -> None:
    speaking = {
        module for module in modules(*PACKAGES) if imports_any(read(module), "sqlalchemy", "sqlite3", "alembic")
    }

    assert {module for module in speaking if not in_storage(module)} == SQL_IN_MESH


def test_migrations_alone_know_alembic() -> None:
    knowing = {module for module in modules(*PACKAGES) if imports_any(read(module), "alembic")}

    assert {module for module in knowing if not is_revision(module)} == ALEMBIC_IN_MESH


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_only_runs_loads_no_alembic(service: str) -> None:
    code = f"import sys, {service}.command_line; sys.exit('alembic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_storage_never_speaks_the_wire() -> None:
    storage = [module for module in modules(*SERVICES) if in_storage(module) and not is_revision(module)]

    assert storage
    assert {module for module in storage if imports_protobuf(read(module))} == set()


def test_the_environment_is_read_in_one_place() -> None:
    assert {module for module in modules(*PACKAGES) if names(read(module), *ENVIRONMENT)} == {Path("mesh/settings.py")}


def test_the_time_is_read_in_one_place() -> None:
    assert {module for module in modules(*PACKAGES) if names(read(module), *NOW)} == {Path("mesh/clock.py")}


def test_only_the_composition_root_picks_a_store() -> None:
    stores = [f"{service}.storage.{kind}" for service in SERVICES for kind in ("sql", "memory")]

    picking = {module for module in modules(*SERVICES) if not in_storage(module) and imports_any(read(module), *stores)}

    assert {module.name for module in picking} == {"app.py"}


@pytest.mark.parametrize(
    "planted",
    [
        "import email_service",
        "import email_service.mailer as m",
        "from email_service.storage import sql",
        "def f():\n    from email_service import errors",
        "if TYPE_CHECKING:\n    from email_service import errors",
    ],
)
def test_a_planted_import_of_a_sister_is_found(planted: str) -> None:
    assert imports_any(planted, "email_service")
    assert not imports_any(planted, "email", "email_service.nothing", "mesh")


@pytest.mark.parametrize(
    "planted",
    [
        "import grpc",
        "import grpc.aio",
        "from google.protobuf.message import Message",
        "from baton.queue.v1 import message_pb2",
        "from baton.queue.v1.message_pb2 import Ack",
        "from elsewhere.queue_pb2_grpc import QueueServiceStub",
    ],
)
def test_a_planted_word_of_the_wire_is_found(planted: str) -> None:
    assert imports_protobuf(planted)


def test_what_only_looks_like_the_wire_is_left_alone() -> None:
    assert imports_protobuf("import grpcio_tools\nfrom batonette import pb2\nfrom google import auth") == set()


@pytest.mark.parametrize(
    "planted",
    [
        "import os\nos.environ['A']",
        "from os import environ\nenviron.get('A')",
        "import os as system\nsystem.getenv('A')",
        "from os import getenv as get\nget('A')",
    ],
)
def test_a_planted_look_at_the_environment_is_found(planted: str) -> None:
    assert names(planted, *ENVIRONMENT)


@pytest.mark.parametrize(
    "planted",
    [
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\ndatetime.now(UTC)",
        "from datetime import datetime as d\nd.utcnow()",
        "from time import time\ntime()",
        "import time\nclock = time.time_ns",
    ],
)
def test_a_planted_look_at_the_time_is_found(planted: str) -> None:
    assert names(planted, *NOW)


def test_a_duration_and_an_event_loops_time_are_left_alone() -> None:
    code = "import time\nfrom datetime import datetime\ntime.monotonic()\ndatetime.fromisoformat('x')\nself.time.time()"

    assert names(code, *NOW) == set()
