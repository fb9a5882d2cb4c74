"""Imports of wrangler files, from their text to the queues that come of it."""

from pathlib import Path

import pytest

from mesh.field_rules import FieldRules
from queue_service.declared_queues import parse_declared
from queue_service.queue_definition import Queue
from queue_service.wrangler.findings import WranglerError
from queue_service.wrangler.importing import Imported, import_wrangler

RULES = FieldRules(("queue",))
SERVICES = {"email": "unix:/run/email.sock"}


def imported(folder: Path, *texts: str, name: str = "wrangler.toml", env: str = "", push: str = "") -> Imported:
    """The import of one file or, when there are several texts, of several."""
    names = [name] if len(texts) == 1 else [f"{index}-{name}" for index in range(len(texts))]
    paths = [folder / name for name in names]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return import_wrangler(paths, SERVICES, RULES, environment=env, push_address=push)


def queues(folder: Path, *texts: str, name: str = "wrangler.toml", env: str = "", push: str = "") -> dict[str, Queue]:
    """The queues that come of an import, as a start of the broker would read them."""
    text = imported(folder, *texts, name=name, env=env, push=push).text
    return {queue.name: queue for queue in parse_declared(text, "written", SERVICES, RULES)}


def notes(folder: Path, *texts: str, name: str = "wrangler.toml", env: str = "", push: str = "") -> list[str]:
    """What an import has to say of what it wrote."""
    return [note.replace(f"{folder}/", "") for note in imported(folder, *texts, name=name, env=env, push=push).notes]


def refused(folder: Path, *texts: str, name: str = "wrangler.toml", env: str = "", push: str = "") -> list[str]:
    """Why an import is refused."""
    with pytest.raises(WranglerError) as caught:
        imported(folder, *texts, name=name, env=env, push=push)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]
