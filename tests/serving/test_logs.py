"""A canary planted in messages, arguments and exceptions never reaches a log line."""

import json
import logging
from http import HTTPStatus

import pytest
from bentoml._internal.server.http_app import log_exception
from bentoml.exceptions import BadInput, BentoMLException, ServiceUnavailable
from pydantic import TypeAdapter
from starlette.requests import Request

from serving.logs import ValueFreeFormatter, protect
from serving.under_way import begun

CANARY = "canary-7d1f"


def record(name, message, *args, level=logging.INFO, error=None):
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord(name, level, __file__, 1, message, args, info)


def access(path, kind):
    request = f"(scheme=http,method=POST,path={path},type={kind},length=1)"
    return f"127.0.0.1:1 {request} (status=422,type=y,length=2) 1.5ms (trace=1)"


def raised():
    try:
        raise ValueError(CANARY)
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    "made",
    [
        record("bentoml.serve", f"f-string {CANARY}"),
        record("bentoml.serve", "argument %s", CANARY),
        record("uvicorn.error", CANARY, level=logging.ERROR),
        record("bentoml", "Exception on /analyze [POST]", level=logging.ERROR, error=raised()),
        record(
            "bentoml.access",
            access("/analyze", CANARY),
        ),
    ],
)
def test_foreign_lines_lose_their_values(made):
    line = ValueFreeFormatter().format(made)
    assert CANARY not in line
    assert json.loads(line)["logger"] == made.name


@pytest.mark.parametrize("path", ["/v1/recordings:analyze", "/fhir/$analyze", "/v1/jobs/{id}/result"])
def test_an_access_line_keeps_method_path_status_and_latency(path):
    made = record("bentoml.access", access(path, "x"))
    line = json.loads(ValueFreeFormatter().format(made))
    assert (line["method"], line["path"], line["status"], line["ms"]) == (
        "POST",
        path,
        422,
        1.5,
    )


def test_an_exception_is_named_by_type_and_place():
    made = record("bentoml", "Exception on /analyze [POST]", level=logging.ERROR, error=raised())
    line = json.loads(ValueFreeFormatter().format(made))
    assert line["exception"]["type"] == "ValueError"
    assert line["exception"]["at"].startswith(__file__)


def from_http_request(raises):
    """Named as BentoML's function that reads a body."""
    raises()


def not_a_number():
    TypeAdapter(int).validate_python(CANARY)


def logged_by_bentoml(raises):
    """The line of what BentoML makes an answer of."""
    protect()
    logger, lines = logging.getLogger(log_exception.__module__), []
    handler = logging.Handler()
    handler.emit = lambda made: lines.append(json.loads(ValueFreeFormatter().format(made)))
    logger.addHandler(handler)
    try:
        raises()
    except Exception:
        log_exception(Request({"type": "http", "method": "POST", "path": "/embed", "headers": []}))
    finally:
        logger.removeHandler(handler)
    (line,) = lines
    return line


def raising(error):
    def raises():
        raise error

    return raises


@pytest.mark.parametrize(
    "raises",
    [
        lambda: from_http_request(not_a_number),
        raising(BadInput(CANARY)),
        raising(BentoMLException(CANARY, error_code=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)),
    ],
)
def test_a_callers_mistake_is_no_error(raises):
    line = logged_by_bentoml(raises)
    assert (line["level"], line["message"]) == ("INFO", "exception while answering")


@pytest.mark.parametrize(
    "raises",
    [
        not_a_number,  # in a model of ours, not in what was read
        raising(ValueError(CANARY)),
        raising(BentoMLException(CANARY)),
        raising(ServiceUnavailable(CANARY)),
        lambda: from_http_request(raising(KeyError(CANARY))),
    ],
)
def test_what_fails_in_the_service_stays_an_error_with_type_and_place(raises):
    line = logged_by_bentoml(raises)
    assert line["level"] == "ERROR"
    assert line["exception"].keys() == {"type", "at"}


def test_our_own_lines_pass():
    line = json.loads(
        ValueFreeFormatter().format(record("pat.service", "runner ready with %s", "pat-s-demo:1"))
    )
    assert line["message"] == "runner ready with pat-s-demo:1"


def test_every_handler_of_the_server_gets_the_formatter():
    handler = logging.StreamHandler()
    logger = logging.getLogger("bentoml.test")
    logger.addHandler(handler)
    try:
        protect()
        assert isinstance(handler.formatter, ValueFreeFormatter)
    finally:
        logger.removeHandler(handler)


def test_a_line_of_ours_may_have_fields_and_a_foreign_one_may_not():
    ours, foreign = record("pat.inference", "inference"), record("bentoml.serve", "%s", "x")
    ours.fields = foreign.fields = {"weeks": 2}
    assert json.loads(ValueFreeFormatter().format(ours))["weeks"] == 2
    assert "weeks" not in json.loads(ValueFreeFormatter().format(foreign))


def test_a_line_of_a_request_names_its_trace_its_id_and_its_door():
    with begun("POST", "/analyze") as request:
        request.trace, request.request = "0" * 32, "1" * 16
        line = json.loads(ValueFreeFormatter().format(record("pat.service", "said")))
    assert (line["trace"], line["request"], line["route"]) == ("0" * 32, "1" * 16, "/analyze")
    assert "route" not in json.loads(ValueFreeFormatter().format(record("pat.service", "said")))
