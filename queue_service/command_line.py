"""What ``python -m queue_service`` can be told: nothing, to run the broker, or ``check FILE``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mesh.field_rules import FieldRules
from mesh.program import EXIT_CONFIG, run
from mesh.settings import SettingsError, load
from queue_service.app import build
from queue_service.declared_queues import DeclarationError, read_declared
from queue_service.settings import QueueSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Do as the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m queue_service", description="The durable broker of Baton.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    check = commands.add_parser("check", help="say whether a file of declared queues is sound, and start nothing")
    check.add_argument("file", type=Path, help="a TOML file with [[queues]]")
    chosen = parser.parse_args(arguments)
    if chosen.command == "check":
        return _check(chosen.file)
    return run("queue_service", QueueSettings, build, lambda settings: settings.listen)


def _check(path: Path) -> int:
    try:
        queues = read_declared(path, load(QueueSettings).services, FieldRules(("queue",)))
    except (DeclarationError, SettingsError) as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return EXIT_CONFIG
    sys.stdout.write(f"{path}: {len(queues)} queues, all sound\n")
    return 0
