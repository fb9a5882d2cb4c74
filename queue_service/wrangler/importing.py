"""The import as a whole: files read, translated, written as text, and the text checked as a start would check it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh.field_rules import FieldRules
from queue_service.declared_queues import DeclarationError, parse_declared
from queue_service.wrangler.config_file import read_section
from queue_service.wrangler.findings import Findings, WranglerError
from queue_service.wrangler.queue_file import queue_file
from queue_service.wrangler.translation import Translation


@dataclass(frozen=True, slots=True)
class Imported:
    """A file of declared queues, and what its reader should know of how it came about."""

    text: str
    notes: tuple[str, ...]


def import_wrangler(
    paths: Sequence[Path],
    services: Mapping[str, str],
    rules: FieldRules,
    *,
    environment: str = "",
    push_address: str = "",
) -> Imported:
    """The queues of some wrangler files as one file of declared queues, sound by our own check.

    Args:
        paths: the files; a queue may be produced to in one and consumed in another.
        services: addresses by the names that ``push.address`` may use.
        rules: the field rules of the queue contract.
        environment: the wrangler environment; empty: the top level.
        push_address: where what a Worker consumed is pushed; empty: it is pulled.

    Raises:
        WranglerError: the files cannot be used.
    """
    findings = Findings()
    sections = [read_section(path, environment, findings) for path in paths]
    drafts = Translation(push_address, findings).translate(sections)
    if findings.problems:
        raise WranglerError(findings.problems, findings.notes)
    names = [str(path) for path in paths]
    text = queue_file(drafts, names, environment)
    try:
        parse_declared(text, ", ".join(names), services, rules)
    except DeclarationError as error:
        raise WranglerError(error.problems, findings.notes) from error
    return Imported(text, tuple(findings.notes))
