"""Structured logs: a sentence for a person, an ``action`` for programs, and the id of the request it belongs to."""

import logging
import sys
from contextvars import ContextVar
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

LogFormat = Literal["console", "json"]

# Values under these keys are secrets or personal data and never reach a log line.
SECRET_KEYS = frozenset({"authorization", "password", "token", "dsn", "cookie", "body", "address", "email", "to"})

request_id: ContextVar[str] = ContextVar("request_id", default="")


def configure(service: str, *, log_format: LogFormat, level: str) -> None:
    """Send every log record of this process, libraries' included, to standard error in one form."""

    def add_origin(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        if current := request_id.get():
            event["request_id"] = current
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_origin,
        _redact,
    ]
    renderer: structlog.typing.Processor
    if log_format == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_name_action, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; call it with a sentence and ``action="past_tense_key"``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key in SECRET_KEYS & event.keys():
        event[key] = "***"
    return event


def _name_action(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.setdefault("action", f"library_{event['_record'].name}")
    return event
