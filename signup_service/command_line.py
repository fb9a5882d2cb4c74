"""What ``python -m signup_service`` can be told: nothing, to run the service, or a command about its database."""

import argparse
from collections.abc import Sequence

from mesh.database_commands import DatabaseCommands
from mesh.program import run
from signup_service.app import build
from signup_service.settings import SignupSettings
from signup_service.storage.schema import SCHEMA

DATABASE = DatabaseCommands(SignupSettings, lambda settings: settings.database, SCHEMA)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do as the command line says; the exit code."""
    chosen = _parser().parse_args(arguments)
    if chosen.command is not None:
        done: int = chosen.do(chosen)
        return done
    return run("signup_service", SignupSettings, build, lambda settings: settings.listen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m signup_service", description="The sign-up service of Baton.")
    DATABASE.add(parser.add_subparsers(dest="command", metavar="COMMAND"))
    return parser
