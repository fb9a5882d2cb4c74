"""Programs that a test runs: those of this environment, and those of the machine."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tool(name: str) -> str:
    """The path of a program; without it the test fails where CI runs it, and is skipped elsewhere."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is not None:
        return found
    reason = f"{name} is not installed"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def run(*command: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)


async def run_beside(*command: str) -> tuple[int, str]:
    """Run a program while this process serves it; its exit code and all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    written, _ = await process.communicate()
    return process.returncode or 0, written.decode()


def python(*arguments: str | Path, folder: Path = ROOT) -> str:
    """Run this environment's Python, which has to succeed; what it wrote to standard output."""
    done = run(sys.executable, *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contract_files() -> list[str]:
    """Every .proto file, by its path from the import root."""
    root = ROOT / "protos"
    return sorted(path.relative_to(root).as_posix() for path in root.glob("baton/**/*.proto"))
