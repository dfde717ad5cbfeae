"""Log lines that say what happened and where, never what was in the data.

BentoML logs every handled exception with its traceback, and tracebacks repeat input. The formatter here
writes one JSON object per line with the exception's type and place only, and is put on every handler.
BentoML logs a caller's mistake as an error, too; here it is one at level INFO.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType

from serving import under_way

__all__ = ["ValueFreeFormatter", "line_of", "protect", "protected"]

_OURS = "pat"
_ACCESS = re.compile(
    r"\(scheme=(\w+),method=(\w+),path=([\w/:.\-${}]{1,200}),.*\(status=(\d{3}),.*?\) ([\d.]+)ms"
)
_EXCEPTION = re.compile(r"Exception on (\S{1,200}) \[(\w+)\]")
_PLAIN_LOGGERS = ("bentoml", "uvicorn.error", "uvicorn", "circus", "kantoku")

_ANSWERING = "bentoml._internal.server.http_app"  # logs each exception that BentoML makes an answer of
_READING = "from_http_request"  # BentoML's function that makes a method's input of a body

_Exception = tuple[type[BaseException], BaseException, TracebackType | None]


class ValueFreeFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, a message without input, exception type and place.

    While a request is answered its trace, its id and its door are there too. Messages of our own loggers
    (``pat.*``) are constants written by us and pass; of BentoML's access log only method, path, status and
    latency pass; any other message is reduced to its unformatted template, or to the place that wrote it.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Render ``record`` without the arguments, values or exception text of foreign code."""
        return json.dumps(line_of(record))


def line_of(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields of a line: all that may be said of ``record``, wherever it goes."""
    line: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "logger": record.name,
        **_message(record),
        **_request(),
    }
    if record.exc_info and record.exc_info[0] is not None:
        line["exception"] = _where(record.exc_info)
    return line


def _message(record: logging.LogRecord) -> dict[str, object]:
    if record.name.split(".")[0] == _OURS:
        return {"message": record.getMessage(), **getattr(record, "fields", {})}
    text = record.getMessage()
    if access := _ACCESS.search(text):
        method, path, status, latency = access.group(2, 3, 4, 5)
        return {
            "message": "request",
            "method": method,
            "path": path,
            "status": int(status),
            "ms": float(latency),
        }
    if failed := _EXCEPTION.search(text):
        return {"message": "exception while answering", "path": failed.group(1), "method": failed.group(2)}
    if record.args:
        return {"message": str(record.msg)}
    return {"message": f"{record.module}:{record.lineno}"}  # text without a template may hold anything


def _request() -> dict[str, object]:
    """Return under which ids and at which door something is answered; nothing beside the requests."""
    if (request := under_way.current()) is None:
        return {}
    return {"trace": request.trace, "request": request.request, "route": request.route}


def _where(info: _Exception) -> dict[str, str]:
    frames = traceback.extract_tb(info[2])
    last = frames[-1] if frames else None
    return {"type": info[0].__name__, "at": f"{last.filename}:{last.lineno}" if last else "unknown"}


def _lowered(record: logging.LogRecord) -> bool:
    """Let every record pass, one of a caller's mistake at level INFO, so that an error is one of ours."""
    if record.exc_info and record.exc_info[0] is not None and _is_the_callers(record.exc_info):
        record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
    return True


def _is_the_callers(info: _Exception) -> bool:
    """Whether BentoML refused what it read (a model of ours that does not hold is our error), or said 4xx."""
    if info[0].__name__ == "ValidationError":
        return any(frame.f_code.co_name == _READING for frame, _ in traceback.walk_tb(info[2]))
    status = getattr(info[1], "error_code", HTTPStatus.INTERNAL_SERVER_ERROR)
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR


def protect() -> None:
    """Put the formatter on every handler of the root and the server's loggers, and on one of our own.

    What BentoML refuses a caller for is logged at level INFO from here on.
    """
    ours = logging.getLogger(_OURS)
    if not ours.handlers:
        ours.addHandler(logging.StreamHandler())
        ours.setLevel(logging.INFO)
        ours.propagate = False
    logging.getLogger(_ANSWERING).addFilter(_lowered)  # once, however often
    for logger in protected():
        for handler in logger.handlers:
            handler.setFormatter(ValueFreeFormatter())
    logging.captureWarnings(True)  # the function's own form; else they are lines of text


def protected() -> list[logging.Logger]:
    """Return the loggers whose handlers write: the root, the server's and ours."""
    names = (*_PLAIN_LOGGERS, *(n for n in logging.root.manager.loggerDict if n.startswith(_PLAIN_LOGGERS)))
    loggers = {logging.getLogger(name) for name in (*names, _OURS)} | {logging.root}
    return [logger for logger in loggers if logger.handlers]
