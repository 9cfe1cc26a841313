"""How the commands log: without secrets, one line per message, as text or as JSON, and a traceback only for DEBUG."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import singer_sdk
from singer_sdk.logging import StructuredFormatter
from typing_extensions import override

from tap_jetti.errors import message_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.facts.redaction import Redactor

FORMAT_VARIABLE = "LOG_FORMAT"
"""The environment variable that chooses between ``text`` and ``json``."""

SDK_CONFIG_VARIABLE = "SINGER_SDK_LOG_CONFIG"
"""The environment variable of the SDK for a file that configures logging. Meltano sets it."""

_SDK_FOLDER = os.path.dirname(singer_sdk.__file__)  # noqa: PTH120 - a text, as in log records
_STANDARD_FIELDS = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime", "taskName"}


class RedactingFactory:
    """Makes log records that show no secret, whoever logs, formats and handles them.

    Every record of the process passes here, those of libraries, too. It is cleaned by the redactors of all plug-ins
    that exist. Arguments are merged into the message if anything in it had to be masked or escaped.

    Args:
        make: The factory that makes the records.
    """

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make
        self._redactors: WeakSet[Redactor] = WeakSet()

    def add(self, redactor: Redactor) -> None:
        """Clean with this redactor, too, as long as it exists."""
        self._redactors.add(redactor)

    def __call__(self, *arguments: Any, **options: Any) -> logging.LogRecord:  # noqa: ANN401 - those of a record
        """Make a record."""
        record = self._make(*arguments, **options)
        redactors = list(self._redactors)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # the arguments do not fit the message, which must not be lost
            message = f"{record.msg} {record.args}"
            record.args = ()
        cleaned = message
        for redactor in redactors:
            cleaned = redactor.clean(cleaned)
        trace = _trace_of(record) if redactors else ""
        if trace:
            for redactor in redactors:
                trace = redactor.clean_lines(trace)
            cleaned = f"{cleaned}\n{trace}"
        if cleaned != message or not record.args:
            record.msg, record.args = cleaned, ()
        return record


def _trace_of(record: logging.LogRecord) -> str:
    """Take the traceback out of a record; it is shown at the level DEBUG only."""
    error = record.exc_info[1] if record.exc_info else None
    record.exc_info = record.exc_text = record.stack_info = None
    if error is None or not logging.getLogger().isEnabledFor(logging.DEBUG):
        return ""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip()


def redact_logs(redactor: Redactor) -> None:
    """Let no log record of the process show what `redactor` masks, as long as that exists."""
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, RedactingFactory):
        factory = RedactingFactory(factory)
        logging.setLogRecordFactory(factory)
    factory.add(redactor)


class CommandFilter(logging.Filter):
    """What a command's own handlers show: no secret in additional fields, and no routine messages of the SDK.

    The SDK logs several lines per stream, among them METRIC. They are shown where they are asked for: at the level
    DEBUG, or where a file configures logging.

    Args:
        redactor: What must not be shown.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        for name in record.__dict__.keys() - _STANDARD_FIELDS:
            value = record.__dict__[name]
            if not isinstance(value, (int, float, type(None))):
                record.__dict__[name] = self._redactor.clean(str(value))
        is_routine = record.levelno <= logging.INFO and record.pathname.startswith(_SDK_FOLDER)
        return not is_routine or SDK_CONFIG_VARIABLE in os.environ or logging.getLogger().isEnabledFor(logging.DEBUG)


def configure_logs(logger: logging.Logger, redactor: Redactor) -> None:
    """Set up the log of a command, after the SDK has made its handlers.

    Args:
        logger: The logger of the plug-in.
        redactor: What must not be shown.
    """
    redact_logs(redactor)
    logging.raiseExceptions = False  # a full disk or a closed pipe would print a traceback with the message
    is_json = os.environ.get(FORMAT_VARIABLE, "").strip().lower() == "json" and SDK_CONFIG_VARIABLE not in os.environ
    for handler in logging.getLogger().handlers:
        handler.addFilter(CommandFilter(redactor))
        if is_json:
            handler.setFormatter(StructuredFormatter(defaults={"app_name": logger.name}))
    # What ends a thread, or cannot be raised, is reported as what ends the command.
    threading.excepthook = lambda ended: report(logger, ended.exc_value)
    sys.unraisablehook = lambda ignored: report(logger, ignored.exc_value)


def report(logger: logging.Logger, error: BaseException | None) -> None:
    """Log what ended a command or a thread, in one line; at the level DEBUG with its traceback."""
    logger.error("%s", message_of(error), exc_info=error)
