"""What ``python -m email_service`` can be told: nothing, to run the service, or a command about its database."""

import argparse
from collections.abc import Sequence

from email_service.app import build, listen
from email_service.settings import EmailSettings
from email_service.storage.schema import SCHEMA
from mesh.database_commands import DatabaseCommands
from mesh.program import run

DATABASE = DatabaseCommands(EmailSettings, lambda settings: settings.database_url, SCHEMA)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do as the command line says; the exit code."""
    chosen = _parser().parse_args(arguments)
    if chosen.command is not None:
        done: int = chosen.do(chosen)
        return done
    return run("email_service", EmailSettings, build, listen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m email_service", description="The email service of Baton.")
    DATABASE.add(parser.add_subparsers(dest="command", metavar="COMMAND"))
    return parser
