"""The shape of a body is told from its bytes, whatever they are, and agrees with a real parser."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.json_shape import DEEPEST, Fault, fault

pytestmark = pytest.mark.security


def nested(levels):
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (nested(DEEPEST), None),
        (nested(DEEPEST + 1), Fault.TOO_DEEP),
        (b"[" * 1_000_000, Fault.TOO_DEEP),
        (b"[]" * 1000, None),
        (b'["' + b"[" * 100 + b'"]', None),
        (b'["' + b"]" * 100 + b'",' + b"[" * 40 + b"]" * 41, Fault.TOO_DEEP),  # brackets in text do not count
        (b'["\\"' + b"[" * 100 + b'"]', None),
        (b"[NaN]", Fault.NOT_A_NUMBER),
        (b'{"a": Infinity}', Fault.NOT_A_NUMBER),
        (b'["NaN", "\\"Infinity"]', None),
        (b'{"a": 1, "a": 2}', Fault.NAME_TWICE),
        (b'{"a": 1, "\\u0061": 2}', Fault.NAME_TWICE),
        (b'{"a" : {"b": 1}, "c": {"b": 1}}', None),
        (b'{"x": [{"b": 1, "b" : 2}]}', Fault.NAME_TWICE),
        (b'{"a": "b\\": 1", "b": 1}', None),
        (b'{"a": 1, "a": ', None),  # no JSON: the parser's to refuse
        (b"\xff\xfe\x00", None),
        (b"", None),
    ],
)
def test_what_is_wrong_is_found(body, found):
    assert fault(body) is found


@pytest.mark.parametrize(
    "body",
    [b'"' + b'\\"' * 1_000_000, b'"\\' * 1_000_000, b'"' * 2_000_000, b"[]" * 1_000_000, b'{"a":' * 400_000],
)
def test_no_body_of_two_megabytes_keeps_the_loop_for_long(body):
    began = time.process_time()
    fault(body)
    assert time.process_time() - began < 2


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)


@given(TREES, st.booleans())
def test_an_honest_document_has_no_fault(tree, ascii_only):
    assert fault(json.dumps(tree, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")) is None


@given(st.binary(max_size=200) | st.text(alphabet='[]{}"\\:, aN1', max_size=200).map(str.encode))
def test_bytes_of_any_kind_are_answered(body):
    fault(body)
