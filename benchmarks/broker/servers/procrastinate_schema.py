"""Makes procrastinate's tables in the database that is named on the command line; runs with the peers' interpreter."""

import logging
import sys

import procrastinate  # type: ignore[import-not-found]  # a peer's library


def main() -> int:
    """Make them."""
    logging.getLogger("procrastinate").setLevel(logging.ERROR)  # it warns of an app that lives in a main module
    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=sys.argv[1]), import_paths=[])
    with app.open():
        app.schema_manager.apply_schema()
    return 0


if __name__ == "__main__":
    sys.exit(main())
