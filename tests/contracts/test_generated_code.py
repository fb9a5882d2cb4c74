"""The committed Python code is what the .proto files say."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.support.tool import ROOT, run


def check(root: Path) -> tuple[int, list[str]]:
    """The exit code, and the complaints; the generators' own chatter is left out."""
    done = run(sys.executable, root / "generate.py", "--check", folder=root)
    return done.returncode, [line for line in done.stderr.splitlines() if line.startswith("protos/")]


def test_the_committed_code_is_up_to_date() -> None:
    assert check(ROOT / "protos") == (0, [])


@pytest.mark.parametrize("kind", ["pb2.py", "pb2.pyi", "pb2_grpc.py", "pb2_grpc.pyi"])
def test_planted_drift_is_caught_in_every_kind_of_file(copied_contracts: Path, kind: str) -> None:
    path = copied_contracts / "protos" / "baton" / "email" / "v1" / f"email_service_{kind}"
    path.write_text(path.read_text() + "\n# changed by hand\n")

    code, complaints = check(copied_contracts / "protos")

    assert code == 1
    assert [line.split()[0] for line in complaints] == [f"protos/baton/email/v1/{path.name}"]


def test_a_changed_contract_and_a_file_too_many_are_caught(copied_contracts: Path) -> None:
    folder = copied_contracts / "protos" / "baton" / "email" / "v1"
    contract = folder / "email_service.proto"
    contract.write_text(contract.read_text() + "\n// One more.\nmessage Extra {}\n")
    shutil.copy(folder / "email_pb2.py", folder / "left_over_pb2.py")

    code, complaints = check(copied_contracts / "protos")

    assert code == 1
    named = {Path(line.split()[0]).name for line in complaints}
    assert {"email_service_pb2.py", "email_service_pb2.pyi", "left_over_pb2.py"} <= named


def test_generating_anew_repairs_it(copied_contracts: Path) -> None:
    root = copied_contracts / "protos"
    (root / "baton" / "email" / "v1" / "email_pb2.py").unlink()

    assert run(sys.executable, root / "generate.py", folder=root).returncode == 0
    assert check(root) == (0, [])
