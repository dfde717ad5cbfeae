"""What may be asked for and sent under /fhir, and what is refused."""

import pytest
from starlette.datastructures import Headers, QueryParams

from api.fhir_negotiation import NotNegotiable, check_accepted, check_sent

pytestmark = pytest.mark.fhir


def accepted(accept=None, query=""):
    check_accepted(Headers({} if accept is None else {"accept": accept}), QueryParams(query))


def sent(kind):
    check_sent(Headers({} if kind is None else {"content-type": kind}))


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "application/json",
        "application/fhir+json",
        "APPLICATION/FHIR+JSON",
        "application/*",
        "application/fhir+json; fhirVersion=4.0",
        'application/fhir+json; fhirVersion="4.0"; q=0.3',
        "application/fhir+xml;q=0.9, application/fhir+json;q=0.1",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ],
)
def test_our_json_is_given_to_who_accepts_it(accept):
    accepted(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+xml",
        "text/html",
        "application/fhir+json; fhirVersion=5.0",
        "application/fhir+json; fhirVersion=3.0",
        "application/fhir+json;q=0",
        "application/fhir+json;q=much",
        "application/xml, text/*",
        "",
    ],
)
def test_what_we_do_not_speak_is_not_acceptable(accept):
    with pytest.raises(NotNegotiable) as refused:
        accepted(accept)
    assert refused.value.status == 406


@pytest.mark.parametrize(
    "query", ["_format=json", "_format=application/json", "_format=application%2Ffhir%2Bjson"]
)
def test_format_in_the_address_wins_over_accept(query):
    accepted("application/fhir+xml", query)
    accepted("application/fhir+xml", "_format=application/fhir+json")  # a plus that was not escaped


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("_format=xml", 406),
        ("_format=application/fhir%2Bjson;fhirVersion=5.0", 406),
        ("_format=json&_format=xml", 406),
        ("_format=", 406),
        ("_pretty=true", 422),
        ("return=collection", 422),
    ],
)
def test_other_formats_and_parameters_in_the_address_are_refused(query, status):
    with pytest.raises(NotNegotiable) as refused:
        accepted(None, query)
    assert refused.value.status == status


@pytest.mark.parametrize(
    "kind",
    [
        "application/fhir+json",
        "application/json",
        "application/fhir+json; charset=UTF-8",
        "application/fhir+json;fhirVersion=4.0",
    ],
)
def test_json_is_read(kind):
    sent(kind)


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "application/fhir+xml",
        "text/plain",
        "application/fhir+json; fhirVersion=5.0",
        "application/json; charset=latin-1",
        "multipart/form-data; boundary=x",
    ],
)
def test_other_bodies_are_unsupported(kind):
    with pytest.raises(NotNegotiable) as refused:
        sent(kind)
    assert refused.value.status == 415
