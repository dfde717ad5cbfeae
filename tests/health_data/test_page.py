"""What docs/health-data-service.md shows works as it is written there."""

from __future__ import annotations

import json
import re

import pytest

from serving.health_items import Aside
from tests.doubles.health_data_service import DEFECTS
from tests.health_data.asking import ANNA, DOOR, found
from tests.serving.signed import token
from tests.shared import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]
PAGE = (ROOT / "docs" / "health-data-service.md").read_text()
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
REQUEST, ANSWER, UPLOAD = BLOCKS


def test_the_upload_is_taken_and_the_request_answered(double, service):
    double.become()
    headers = {"Authorization": f"Bearer {token(sub=ANNA)}"}
    with service.client(headers=headers) as client:
        client.post(f"{double.url}/api/v1/health-data/", json=UPLOAD).raise_for_status()
        answer = found(client.post(DOOR, json=REQUEST))
    assert answer.keys() == ANSWER.keys()
    assert answer["source"].keys() == ANSWER["source"].keys()
    assert answer["written_back"].keys() == ANSWER["written_back"].keys()
    assert answer["analysis"]["schema"] == ANSWER["analysis"]["schema"]
    assert (answer["source"]["used"], answer["written_back"]["status"]) == (1, "stored")


def test_every_reason_and_every_defect_is_named():
    assert [why for why in Aside if f"`{why}`" not in PAGE] == []
    assert [defect for defect in DEFECTS if defect not in PAGE] == []
