"""Workers written in other languages, each built into a folder of its own from the published contract."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.tool import ROOT, contract_files, tool

PROTOS = ROOT / "protos"
_SOURCES = Path(__file__).parent
_CONTRACT = [path for path in contract_files() if path.startswith("baton/queue/")]
_GO_MODULE = "baton.example/worker"

# Seconds for a first build, everything it needs fetched.
BUILD_WITHIN = 600


def go_worker(folder: Path) -> list[str]:
    """The command of ``go_worker``, with stubs made by protoc and by the plugins that its go.mod pins."""
    go, module, plugins = tool("go"), _copy("go_worker", folder), folder / "plugins"
    plugins.mkdir()
    _fetch(module, go, "build", "-o", str(plugins), "tool")
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", "--go_out=.", "--go-grpc_out=."]
    for plugin in ("--go_opt", "--go-grpc_opt"):
        protoc.append(f"{plugin}=module={_GO_MODULE}")
        protoc.extend(f"{plugin}=M{file}={_GO_MODULE}/queuev1" for file in _CONTRACT)
    for step in ([*protoc, *_CONTRACT], [go, "build", "-o", "worker", "."]):
        made = _run(module, step, plugins)
        assert made.returncode == 0, made.stderr
    return [str(module / "worker")]


def node_worker(folder: Path) -> list[str]:
    """The command of ``node_worker``, which reads the contract as it starts."""
    node, module = tool("node"), _copy("node_worker", folder)
    _fetch(module, tool("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    return [node, str(module / "main.js"), str(PROTOS)]


def _copy(name: str, folder: Path) -> Path:
    return shutil.copytree(_SOURCES / name, folder / name)


def _fetch(folder: Path, *command: str) -> None:
    """Run a step that needs the network at first; where it fails the test is skipped, but fails in CI."""
    done = _run(folder, command)
    if done.returncode != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{' '.join(command[:2])} failed: {done.stderr}")


def _run(folder: Path, command: Sequence[str], *plugins: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([*map(str, plugins), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=BUILD_WITHIN)
