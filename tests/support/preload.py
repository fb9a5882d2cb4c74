"""Libraries that a process loads before any other (LD_PRELOAD), to play a fault that no test could wait for."""

import subprocess
from pathlib import Path

from tests.support.tool import tool


def built(source: Path, folder: Path) -> Path:
    """The library of a C source; the test is skipped where there is no compiler, and fails in CI."""
    library = folder / source.with_suffix(".so").name
    options = ("-shared", "-fPIC", "-O1", "-Wall", "-Werror")
    subprocess.run([tool("cc"), *options, "-o", str(library), str(source), "-ldl", "-lpthread"], check=True)
    return library
