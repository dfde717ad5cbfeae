"""The published form of the Analysis, and documents of older releases."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from postprocessing.absence import Reason
from postprocessing.analysis import SCHEMA
from postprocessing.metrics import codes_of
from postprocessing.schema import FILE, UnknownSchema, analysis_schema, generated, read_document
from tests.postprocessing.factory import CASES, analysis

FIRST = Path(__file__).parent / "data" / "analysis-first-release.json"


def test_the_published_schema_is_that_of_the_code():
    assert analysis_schema() == generated(), "run make dictionary"
    assert FILE.name == "pat-analysis-1.schema.json"
    assert analysis_schema()["$id"] == "urn:pat-analysis:1"
    assert analysis_schema()["properties"]["schema"]["const"] == SCHEMA


@pytest.mark.parametrize("name", CASES)
def test_reading_a_document_gives_what_was_written(name):
    made = analysis(CASES[name])
    assert read_document(made.model_dump_json()) == made
    assert read_document(made.model_dump_json().encode()) == made


def test_a_document_of_the_first_release_is_read_and_says_what_it_does_not_hold():
    text = FIRST.read_text()
    first = json.loads(text)
    assert not {"activity", "series"} & set(first)
    read = read_document(text)
    assert tuple(metric.code for metric in read.activity.metrics) == codes_of("activity")
    assert {metric.absent.reason for metric in read.activity.metrics} == {Reason.INSUFFICIENT_DATA}
    assert read.activity.valid_days == first["quality"]["valid_days"]
    assert read.series is None
    assert not any(night.nap for night in read.sleep.nights)
    again = json.loads(read.model_dump_json())
    assert again["weeks"] == first["weeks"]
    assert [metric["value"] for metric in again["rhythm"]["metrics"]] == [
        metric["value"] for metric in first["rhythm"]["metrics"]
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"schema": "pat-analysis/2"}', "'pat-analysis/2'"),
        ('{"schema": 1}', "no name"),
        ("{}", "no name"),
        ("[]", "no name"),
    ],
)
def test_another_version_is_refused_by_its_name(text, named):
    with pytest.raises(UnknownSchema, match="expected a document of pat-analysis/1") as raised:
        read_document(text)
    assert named in str(raised.value)


def test_a_broken_document_of_a_known_version_is_refused():
    document = json.loads(FIRST.read_text())
    del document["quality"]
    with pytest.raises(ValidationError):
        read_document(json.dumps(document))
    with pytest.raises(ValueError, match="Expecting"):
        read_document("{")


def test_a_literal_that_is_no_number_is_refused():
    text = re.sub(r'"missing_fraction":[0-9.e-]+', '"missing_fraction":NaN', FIRST.read_text())
    assert "NaN" in text
    with pytest.raises(ValidationError):
        read_document(text)


def walk(schema, document, root):
    """Names of fields in ``document`` that ``schema`` does not know or lacks."""
    if "$ref" in schema:
        yield from walk(root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], document, root)
    elif "anyOf" in schema and document is not None:
        (of_kind,) = [option for option in schema["anyOf"] if option.get("type") != "null"]
        yield from walk(of_kind, document, root)
    elif isinstance(document, list):
        for item in document:
            yield from walk(schema["items"], item, root)
    elif isinstance(document, dict) and "properties" in schema:
        yield from set(document) ^ set(schema["properties"]) & (set(schema["required"]) | set(document))
        for name, value in document.items():
            yield from walk(schema["properties"].get(name, {}), value, root)


@pytest.mark.parametrize("name", CASES)
def test_every_written_document_has_the_fields_of_the_schema(name):
    schema = analysis_schema()
    assert not set(walk(schema, json.loads(analysis(CASES[name]).model_dump_json()), schema))
