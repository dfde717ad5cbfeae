"""A stock FHIR client (fhirpy) works against the served process, without a line of ours."""

import pytest
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

from tests.e2e.fhir_inputs import SUBJECT, bundled, parameters, series
from tests.e2e.fhir_paths import evaluated, of_code

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]


@pytest.fixture
def fhirpy(served):
    return SyncFHIRClient(f"{served.url}/fhir")


def test_it_executes_the_operation(fhirpy):
    answer = fhirpy.execute("$analyze", data=parameters({"name": "return", "valueCode": "transaction"}))
    assert (answer.resourceType, answer.type) == ("Bundle", "transaction")
    document = dict(answer)
    minutes = of_code(document, "93832-4", "value.value")
    assert len(minutes) == 1
    assert 0 < minutes[0] < 1440
    posts = evaluated(document, "Bundle.entry.all(request.method='POST' and request.url.exists())")
    assert posts == [True]
    labelled = "Bundle.entry.resource.where(meta.security.where(code='AIAST').exists())"
    assert set(evaluated(document, f"{labelled}.select(resourceType)")) >= {"DocumentReference"}


def test_it_reads_the_capabilities_and_the_definitions(fhirpy):
    statement = fhirpy.execute("metadata", method="get")
    assert (statement.fhirVersion, statement.kind) == ("4.0.1", "instance")
    [operation] = statement.rest[0].operation
    assert operation.definition.endswith("/OperationDefinition/analyze")
    definition = fhirpy.get("OperationDefinition", "analyze")
    assert definition["code"] == operation.name == "analyze"
    assert fhirpy.reference("CodeSystem", "pat-actigraphy").to_resource()["content"] == "complete"


def test_it_understands_the_refusals(fhirpy):
    with pytest.raises(OperationOutcome) as refused:
        fhirpy.execute("$analyze", data=bundled(series(), series("Patient/2")))
    [issue] = refused.value.resource["issue"]
    assert issue["expression"] == ["Observation.subject"]
    with pytest.raises(ResourceNotFound):
        fhirpy.get("Patient", "example")


async def test_it_works_without_waiting_too(served):
    client = AsyncFHIRClient(f"{served.url}/fhir")
    answer = await client.execute("$analyze", data=bundled(series()))
    assert set(evaluated(dict(answer), "Bundle.entry.resource.subject.reference")) == {SUBJECT}
