"""Begin a revision, after the tables have changed: ``python scripts/revision.py queue_service "messages are dated"``.

The script that it writes has what Alembic sees between the revisions that are there and the tables; the rest, and
every word of it, is up to whoever changes the tables.
"""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa
from alembic import command

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("queue_service", "email_service", "signup_service")


def main() -> int:
    """Bring an empty database to the newest revision, compare, and write the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("title", help="what the revision does; the file is named after it")
    chosen = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from mesh.revision_scripts import configured, known

    schema = importlib.import_module(f"{chosen.service}.storage.schema").SCHEMA
    number = f"{int(known(schema)[-1]) + 1:04}"
    with tempfile.TemporaryDirectory() as folder:
        engine = sa.create_engine(f"sqlite:///{folder}/empty.db")
        with engine.begin() as connection:
            config = configured(schema, connection)
            command.upgrade(config, "head")
            command.revision(config, chosen.title, autogenerate=True, rev_id=number)
        engine.dispose()
    print(f"now look it through, and set newest={number!r} in {chosen.service}/storage/schema.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
