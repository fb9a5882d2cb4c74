"""What the programs of services that keep something can be told about their database: ``migrate`` and ``backup``."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from mesh.program import EXIT_CONFIG
from mesh.settings import S, SettingsError, load
from mesh.telemetry import configure

if TYPE_CHECKING:
    from mesh.schema import Schema, Standing

#: What ``migrate --check`` ends with when there is something to do.
EXIT_TO_DO = 1
#: sysexits.h: EX_SOFTWARE, for a migration that failed.
EXIT_FAILED = 70


@dataclass(frozen=True)
class DatabaseCommands(Generic[S]):
    """The commands of one service.

    Args:
        model: its settings.
        url: the database's, from those.
        schema: what is kept in it.
    """

    model: type[S]
    url: Callable[[S], str]
    schema: "Schema"

    def add(self, commands: Any) -> None:
        """Add them to the sub-commands of a parser."""
        migrate = commands.add_parser(
            "migrate", help="bring the database to what this release needs; see operations.md"
        )
        migrate.add_argument(
            "--check", action="store_true", help="change nothing; the exit code is 1 if there is something to do"
        )
        migrate.set_defaults(do=self._migrate)
        backup = commands.add_parser("backup", help="copy the SQLite database, which may be in use, to a new file")
        backup.add_argument("file", type=Path, help="where to; it must not be there yet")
        backup.set_defaults(do=self._backup)

    def _migrate(self, chosen: argparse.Namespace) -> int:
        # Imported here, like what a backup needs: a service that runs has no use for it.
        from mesh.database import DatabaseError
        from mesh.migration import MigrationError, look, migrate

        try:
            url = self._settle()
            if chosen.check:
                return self._check(look(url, self.schema))
            account = migrate(url, self.schema)
        except SettingsError as error:
            return _refuse(*error.problems)
        except DatabaseError as error:
            return _refuse(str(error))
        except MigrationError as error:
            return _refuse(str(error), code=EXIT_FAILED)
        sys.stdout.write(account.told(self.schema) + "\n")
        return 0

    def _check(self, found: "Standing") -> int:
        from mesh.schema import State, refusal

        if found.state is State.EMPTY:
            said = "there is no database yet: a start makes it, nothing to do"
        elif found.migratable:
            said = f"the database has {found.found}: it is to be migrated to revision {self.schema.newest}"
        elif found.usable:
            said = f"the database has {found.found}: nothing to do"
        else:
            return _refuse(refusal(found, self.schema))
        sys.stdout.write(f"{said}\n")
        return EXIT_TO_DO if found.migratable else 0

    def _backup(self, chosen: argparse.Namespace) -> int:
        from mesh.backup import back_up
        from mesh.database import DatabaseError

        try:
            backup = back_up(self._settle(), chosen.file, without=self.schema.of_one_life)
        except SettingsError as error:
            return _refuse(*error.problems)
        except DatabaseError as error:
            return _refuse(str(error))
        sys.stdout.write(f"{chosen.file}: {backup.bytes} bytes in {backup.seconds:.1f} s, checked\n")
        return 0

    def _settle(self) -> str:
        settings = load(self.model)
        configure(self.schema.service, log_format=settings.log_format, level=settings.log_level)
        return self.url(settings)


def _refuse(*problems: str, code: int = EXIT_CONFIG) -> int:
    sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    return code
