"""Every Bundle passes the official R4 definitions, and an R4 server stores it and finds its metrics."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from postprocessing.fhir import DEVELOPMENT_BASE, BundleOptions, bundle, code_system
from postprocessing.fhir.codes import METRIC_TERMS
from postprocessing.fhir.observations import metrics_of
from postprocessing.metrics import MetricCode
from tests.fhir_tools import Finding, fhir_server, validate
from tests.postprocessing.factory import CASES, ISSUED, analysis, recording

pytestmark = pytest.mark.fhir

EXPECTED_INFORMATION = "is not in the Bundle"  # Patient/123 lives on the receiver


def written(folder: Path) -> list[Path]:
    files = []
    for kind in ("collection", "transaction"):
        for subject in ("Patient/123", None):
            for name, case in CASES.items():
                options = BundleOptions(issued=ISSUED, kind=kind, subject=subject)  # type: ignore[arg-type]
                path = folder / f"{name}-{kind}-{'subject' if subject else 'anonymous'}.json"
                path.write_text(json.dumps(bundle(analysis(case), recording(case), options)))
                files.append(path)
    system = folder / "code-system.json"
    system.write_text(json.dumps(code_system(DEVELOPMENT_BASE)))
    return [*files, system]


def test_every_bundle_and_the_code_system_pass_the_validator_without_error_or_warning(tmp_path: Path) -> None:
    files = written(tmp_path)
    assert len(files) == 4 * len(CASES) + 1
    findings = validate(files)
    serious = [finding for finding in findings if EXPECTED_INFORMATION not in finding.message]
    assert serious == []


def test_the_validator_still_sees_a_wrong_code(tmp_path: Path) -> None:
    case = CASES["week"]
    document = bundle(analysis(case), recording(case), BundleOptions(issued=ISSUED))
    document["entry"][1]["resource"]["status"] = "finall"
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(document))
    errors: list[Finding] = [finding for finding in validate([path]) if finding.severity == "error"]
    assert errors


@pytest.mark.parametrize("name", ["week", "month", "prediction"])
def test_a_server_stores_the_transaction_and_finds_each_metric_by_standard_and_local_code(name: str) -> None:
    case = CASES[name]
    source = analysis(case)
    options = BundleOptions(issued=ISSUED, kind="transaction", subject="Patient/123")
    document = bundle(source, recording(case), options)
    with fhir_server() as base, httpx.Client(base_url=base, timeout=60) as client:
        answer = client.post("/", json=document, headers={"content-type": "application/fhir+json"})
        assert answer.status_code == 200
        assert {entry["response"]["status"] for entry in answer.json()["entry"]} == {"201"}
        for metric in metrics_of(source):
            for coding in METRIC_TERMS[metric.code].codings(DEVELOPMENT_BASE):
                [found] = search(client, f"{coding['system']}|{coding['code']}")
                if metric.value is None:
                    assert "dataAbsentReason" in found
                elif metric.kind == "clock_time":
                    assert found["valueTime"] == metric.clock
                else:
                    decimals = METRIC_TERMS[metric.code].decimals
                    assert found["valueQuantity"]["value"] == round(metric.value, decimals)
        [sleep] = search(client, "http://loinc.org|93832-4")
        assert sleep["code"]["coding"][-1]["code"] == METRIC_TERMS[MetricCode.TOTAL_SLEEP_TIME].local
        assert sleep["derivedFrom"][0]["reference"].startswith("Observation/")


def search(client: httpx.Client, token: str) -> list[dict[str, object]]:
    answer = client.get("/Observation", params={"code": token})
    assert answer.status_code == 200
    return [entry["resource"] for entry in answer.json().get("entry", [])]
