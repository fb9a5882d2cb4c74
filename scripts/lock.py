"""Write requirements.txt: exact pins with hashes, no addresses, for all distributions and the tools.

Needs uv (``pip install uv``); only who changes a dependency runs it.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DISTRIBUTIONS = ("protos", "mesh", "queue_service", "email_service", "signup_service", "baton_client")


def declared() -> set[str]:
    """Every third-party requirement that a distribution or the development group declares."""
    found: set[str] = set()
    for folder in DISTRIBUTIONS:
        project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
        found.update(project["dependencies"])
        for extra in project.get("optional-dependencies", {}).values():
            found.update(extra)
    found.update(tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"])
    return {requirement for requirement in found if not requirement.startswith("baton-")}


def main() -> int:
    """Resolve for every platform at once and write the file; uv's exit code is ours."""
    command = [
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
    ]
    command += ["--no-annotate", "--no-header", "--output-file", str(ROOT / "requirements.txt"), "-"]
    return subprocess.run(command, input="\n".join(sorted(declared())), text=True, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
