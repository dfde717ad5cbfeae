"""The data dictionary: complete, and the same as what the code makes."""

from __future__ import annotations

from postprocessing.absence import Reason
from postprocessing.dictionary import ORDER, page, uses
from postprocessing.metrics import MetricCode
from postprocessing.schema import generated
from tests.shared import ROOT

PAGE = ROOT / "docs" / "data-dictionary.md"


def parts():
    schema = generated()
    return {**schema["$defs"], "Analysis": schema}


def test_the_page_is_what_the_code_makes():
    assert PAGE.read_text() == page(), "run make dictionary"


def test_every_part_and_every_field_says_what_it_is():
    for name, schema in parts().items():
        assert schema.get("description"), name
        for field, known in schema.get("properties", {}).items():
            assert known.get("description"), f"{name}.{field}"


def test_every_part_with_fields_is_on_the_page_once():
    with_fields = {name for name, schema in parts().items() if "properties" in schema}
    assert set(ORDER) == with_fields
    assert len(ORDER) == len(with_fields)


UNITLESS = {"value", "low", "high", "embedding", "day_profile", "values"}  # their unit stands beside them


def test_every_number_has_a_unit():
    for name, schema in parts().items():
        for field, known in schema.get("properties", {}).items():
            text = str(known)
            numeric = "'type': 'number'" in text or "'type': 'integer'" in text
            if numeric and field not in UNITLESS and field not in ("parameters", "options"):
                assert "'unit'" in text, f"{name}.{field}"


def test_every_metric_is_named_with_its_algorithm_and_what_it_may_lack():
    text = PAGE.read_text()
    for code in MetricCode:
        assert f"### `{code}`" in text
        assert uses()[code].algorithms, code
        assert uses()[code].reasons, code


def test_every_reason_is_listed():
    text = PAGE.read_text()
    for reason in Reason:
        assert f"| `{reason}` |" in text
