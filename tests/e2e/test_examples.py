"""Every example of the OpenAPI document is answered as it says, where nobody is asked who they are."""

import pytest

from tests.examples_of import described

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]


@pytest.mark.parametrize("example", described(), ids=str)
def test_an_example_is_answered_as_documented(client, example):
    answer = example.sent(client)
    assert answer.status_code == example.open_status, answer.text
    example.check(answer)


def test_the_served_document_is_the_one_whose_examples_these_are(client):
    assert client.get("/openapi.json").json() == described()[0].document
