"""Every example of the OpenAPI document is answered as it says, where callers are identified."""

import pytest

from serving.auth import Role
from tests.e2e.guarded import bearer
from tests.examples_of import described

pytestmark = [pytest.mark.e2e, pytest.mark.security, pytest.mark.fhir]
MAY = bearer(roles=[role.value for role in Role], sid="example", sub="reader")  # everything, of this patient


@pytest.mark.parametrize("example", described(), ids=str)
def test_an_example_of_who_may_is_answered_as_documented(asked, example):
    answer = example.sent(asked.client, **MAY)
    assert answer.status_code == example.status, answer.text
    example.check(answer)


@pytest.mark.parametrize("example", described(), ids=str)
def test_an_example_of_nobody_is_refused_as_documented_unless_the_operation_is_open(asked, example):
    answer = example.sent(asked.client)
    assert answer.status_code == (example.status if example.operation.get("security") == [] else 401)
    example.check(answer)
