"""Settings: the environment into one frozen object, all problems reported at once, no variable misspelt in silence.

Each service declares its knobs as a pydantic model whose aliases are the variables' names. The table of every
variable of the mesh is part of the contracts (``baton/settings.toml``), so that any service can tell a sister's
variable from a misspelt one.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mesh.address import check_address
from mesh.duration import parse_duration
from mesh.telemetry import LogFormat

PREFIX = "BATON_"


class SettingsError(Exception):
    """The environment cannot be used; ``problems`` has one sentence for each thing wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return timedelta(microseconds=parse_duration(value))
    except OverflowError as error:
        raise ValueError("is longer than any duration can be") from error


def _addresses(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Address = Annotated[str, AfterValidator(check_address)]
#: Where something is called: any gRPC target, such as ``dns:///queue:50052`` or ``unix:/run/queue.sock``.
Target = Annotated[str, Field(min_length=1, max_length=512)]
Addresses = Annotated[tuple[Address, ...], BeforeValidator(_addresses), Field(min_length=1)]


class Settings(BaseModel):
    """The knobs every service has."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    data_dir: Path = Field(default=Path(".baton"), alias="BATON_DATA_DIR")
    """Folder of databases, outbox and sockets; made with mode 0700 when it is not there."""
    log_format: LogFormat = Field(default="json", alias="BATON_LOG_FORMAT")
    """``json``, a record a line, or ``console`` for people."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", alias="BATON_LOG_LEVEL")
    """The least severe level that is logged."""
    grace: Duration = Field(default=timedelta(seconds=20), alias="BATON_GRACE")
    """What calls in flight get after SIGTERM; an orchestrator kills after 30 s, so less than that."""

    def make_data_dir(self) -> None:
        """Make the data folder, private to this user."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


S = TypeVar("S", bound=Settings)


def load(model: type[S], environment: Mapping[str, str] | None = None) -> S:
    """The settings in ``environment``, the process's own unless given; an empty variable counts as unset.

    Raises:
        SettingsError: a value is not allowed, or a ``BATON_*`` variable is not known.
    """
    environment = os.environ if environment is None else environment
    given = {name: value for name, value in environment.items() if name.startswith(PREFIX) and value}
    own = {field.alias for field in model.model_fields.values() if field.alias}
    problems = [_unknown(name, own | published()) for name in sorted(given.keys() - own - published())]
    try:
        settings = model.model_validate({name: value for name, value in given.items() if name in own})
    except ValidationError as error:
        raise SettingsError([*problems, *(_problem(detail, given) for detail in error.errors())]) from error
    if problems:
        raise SettingsError(problems)
    return settings


def published() -> frozenset[str]:
    """The name of every variable that some service of the mesh reads."""
    text = files("baton").joinpath("settings.toml").read_text(encoding="utf-8")
    return frozenset(tomllib.loads(text))


def _unknown(name: str, known: set[str] | frozenset[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"{name} is no setting" + (f"; did you mean {nearest[0]}?" if nearest else "")


def _problem(detail: Mapping[str, Any], given: Mapping[str, str]) -> str:
    name = str(detail["loc"][0]) if detail["loc"] else "settings"
    message = str(detail["msg"]).removeprefix("Value error, ")
    shown = "" if name.endswith("_URL") else f" (it is {given.get(name, '')[:64]!r})"
    return f"{name}: {message}{shown}"
