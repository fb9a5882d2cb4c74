"""grpcurl: the machine's own, or built once with Go into a folder that git ignores."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.tool import ROOT, tool

_MODULE = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3"
_FOLDER = ROOT / ".tools" / "bin"

# Seconds for a first build, the sources of everything it needs included.
BUILD_WITHIN = 600


def grpcurl() -> Path:
    """The program's path; a machine that neither has nor can build it skips the test, but fails it in CI."""
    found = shutil.which("grpcurl", path=os.pathsep.join([str(_FOLDER), os.environ.get("PATH", os.defpath)]))
    return Path(found) if found else _build(tool("go"))


def _build(go: str) -> Path:
    _FOLDER.mkdir(parents=True, exist_ok=True)
    # Built aside and put there whole: another run may be looking for it.
    with tempfile.TemporaryDirectory(dir=_FOLDER.parent) as folder:
        built = subprocess.run(
            [go, "install", _MODULE],
            cwd=folder,
            env={**os.environ, "GOBIN": folder, "GOFLAGS": "-mod=mod"},
            capture_output=True,
            text=True,
            timeout=BUILD_WITHIN,
        )
        if built.returncode != 0:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"grpcurl could not be built: {built.stderr}")
        return Path(folder, "grpcurl").replace(_FOLDER / "grpcurl")
