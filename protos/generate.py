"""Make the Python code of the contracts, in place, beside each .proto; ``--check`` only says whether it is up to date.

Plain protoc instead of ``buf generate``: the gRPC generator for Python is no protoc builtin, and buf's remote
plugins need the network.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def generate(target: Path) -> None:
    """Generate into ``target``; raises CalledProcessError when protoc finds fault with a file."""
    files = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("baton/**/*.proto"))
    outputs = [f"--{kind}_out={target}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT}", *outputs, *files]
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


def generated(folder: Path) -> dict[Path, bytes]:
    """The generated files below a folder, by their path from it."""
    paths = (path for pattern in GENERATED for path in folder.glob(f"baton/**/{pattern}"))
    return {path.relative_to(folder): path.read_bytes() for path in paths}


def drift() -> list[Path]:
    """The committed files that a fresh generation would change, add or no longer make."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh, committed = generated(Path(folder)), generated(ROOT)
    return sorted(path for path in fresh.keys() | committed.keys() if fresh.get(path) != committed.get(path))


def main() -> int:
    """0 when the files are, or now are, what the contracts say."""
    if "--check" not in sys.argv[1:]:
        generate(ROOT)
        return 0
    for path in (stale := drift()):
        print(f"protos/{path} is not what its .proto says: run `make generate`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
