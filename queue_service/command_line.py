"""What ``python -m queue_service`` can be told: nothing, to run the broker, or one of the commands below."""

import argparse
import contextlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mesh.database_commands import DatabaseCommands
from mesh.field_rules import FieldRules
from mesh.program import EXIT_CONFIG, run
from mesh.settings import SettingsError, load
from queue_service.app import build
from queue_service.declared_queues import DeclarationError, read_declared
from queue_service.settings import QueueSettings
from queue_service.storage.schema import SCHEMA

DATABASE = DatabaseCommands(QueueSettings, lambda settings: settings.store_url, SCHEMA)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do as the command line says; the exit code."""
    chosen = _parser().parse_args(arguments)
    if chosen.command == "check":
        return _check(chosen.file)
    if chosen.command == "import-wrangler":
        return _import_wrangler(chosen)
    if chosen.command is not None:
        done: int = chosen.do(chosen)
        return done
    return run("queue_service", QueueSettings, build, lambda settings: settings.listen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m queue_service", description="The durable broker of Baton.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    check = commands.add_parser("check", help="say whether a file of declared queues is sound, and start nothing")
    check.add_argument("file", type=Path, help="a TOML file with [[queues]]")
    wrangler = commands.add_parser(
        "import-wrangler", help="write the queues of a Cloudflare wrangler file as declared queues"
    )
    wrangler.add_argument("files", metavar="FILE", type=Path, nargs="+", help="wrangler.toml, .json or .jsonc")
    wrangler.add_argument("--env", metavar="NAME", default="", help="the environment; without it the top level")
    wrangler.add_argument(
        "--push-address",
        metavar="ADDRESS",
        default="",
        help="a gRPC target to which queues that a Worker consumes are pushed; without it they are pulled",
    )
    wrangler.add_argument("--output", metavar="FILE", type=Path, help="the file to write; without it standard output")
    wrangler.add_argument("--force", action="store_true", help="replace the output if it is there")
    DATABASE.add(commands)
    return parser


def _check(path: Path) -> int:
    try:
        queues = read_declared(path, load(QueueSettings).services, FieldRules(("queue",)))
    except (DeclarationError, SettingsError) as error:
        return _refuse(error.problems)
    sys.stdout.write(f"{path}: {len(queues)} queues, all sound\n")
    return 0


def _import_wrangler(chosen: argparse.Namespace) -> int:
    # Imported here: a broker that runs has no need of the parsers behind it.
    from queue_service.wrangler.findings import WranglerError
    from queue_service.wrangler.importing import import_wrangler

    try:
        imported = import_wrangler(
            chosen.files,
            load(QueueSettings).services,
            FieldRules(("queue",)),
            environment=chosen.env,
            push_address=chosen.push_address,
        )
    except WranglerError as error:
        return _refuse([*error.problems, *(f"note: {note}" for note in error.notes)])
    except SettingsError as error:
        return _refuse(error.problems)
    _say(f"note: {note}" for note in imported.notes)
    if chosen.output is None:
        sys.stdout.write(imported.text)
        return 0
    return _write(imported.text, chosen.output, force=chosen.force)


def _write(text: str, path: Path, *, force: bool) -> int:
    """Put the text there whole, or leave what is there as it is."""
    if path.exists() and not force:
        return _refuse([f"{path}: is there already; --force replaces it"])
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        return _refuse([f"{path}: {error}"])
    return 0


def _refuse(problems: Iterable[str]) -> int:
    _say(problems)
    return EXIT_CONFIG


def _say(lines: Iterable[str]) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
