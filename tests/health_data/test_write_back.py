"""Analyses that are written back: once, and called stored when they are listed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.health_data.asking import ANNA, FIREBASE_UID, JSON, found, refused
from tests.health_data.metrics import (
    days,
    named,
)

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]


@pytest.fixture
def written(ask):
    """Ask for an analysis that is written back; what became of it."""

    def asked(**changes: Any) -> JSON:
        return found(ask(write_back=True, **changes))["written_back"]

    return asked


@pytest.mark.parametrize("store", ["S1", "S2", "S3"])
@pytest.mark.parametrize("profile", ["", "r1", "r2"])
def test_an_analysis_is_written_back_once_and_is_no_recording(double, ask, store, profile):
    without = ["D01", "D06", "D08", "D10"]
    double.become(store=store, profile=profile, without=without)
    double.keep(*days())
    first, second = (found(ask(write_back=True)) for _ in range(2))
    name = first["written_back"]["metric_id"]
    assert first["written_back"] == {"metric_id": name, "status": "stored", "reason": None}
    assert second["written_back"] == {"metric_id": name, "status": "already_stored", "reason": None}
    assert second["analysis"] == first["analysis"]
    [kept] = [one for one in double.told()["uploads"] if one["user"] == ANNA]
    [written] = kept["metrics"]
    assert (written["metric_id"], written["metric_type"]) == (name, "activity_level")
    assert set(written["activity_data"].values()) == {None}
    assert written["raw_data"] == {"profile": "pat-analysis/1", "analysis": first["analysis"]}


def test_an_analysis_of_other_options_is_another(double, written):
    double.become()
    double.keep(*days())
    names = {written(options={"stride_days": days_apart})["metric_id"] for days_apart in (1, 7)}
    assert len(names) == 2


def test_a_mapped_subject_is_written_under_its_uuid(double, written):
    double.become(users={FIREBASE_UID: ANNA})
    double.keep(*days())
    assert written(uid=FIREBASE_UID, subject="anna")["status"] == "stored"


def test_a_subject_without_a_uuid_is_refused_before_anything_is_asked(double, ask):
    double.become()
    assert refused(ask(subject="berta", write_back=True)) == (422, "user_unmapped")
    assert double.told()["calls"] == []


FAILS = {
    "D03 and a limit": ({"defects": ["D03"], "upload_limit": 0}, "upstream_error"),
    "D06": ({"defects": ["D06"]}, "upstream_error"),
    "D08": ({"defects": ["D08"]}, "upstream_error"),
    "another's token": ({"users": {ANNA: named("other")}}, "upstream_error"),
}


@pytest.mark.parametrize("which", FAILS)
def test_an_analysis_that_cannot_be_written_back_is_still_answered(double, written, which):
    knobs, reason = FAILS[which]
    double.become(**knobs)
    double.keep(*days())
    told = written(uid=FIREBASE_UID if which == "D06" else ANNA)
    assert (told["status"], told["reason"]) == ("failed", reason)


def test_d17_a_save_that_failed_unseen_is_not_called_stored(double, written):
    double.become(defects=["D17"])
    double.keep(*days())
    double.turn(save_fails=1)
    assert written()["status"] == "unconfirmed"
    assert written()["status"] == "stored"


def test_an_upload_that_was_stored_and_answered_with_an_error_is_not_sent_again(double, written):
    double.become(forget_to_answer=1)
    double.keep(*days())
    assert written()["status"] == "stored"
    assert sum(call["method"] == "POST" for call in double.told()["calls"]) == 1


def test_an_upload_that_failed_is_tried_once_more(double, written):
    double.become(save_fails=1)
    double.keep(*days())
    assert written()["status"] == "stored"
    assert sum(call["method"] == "POST" for call in double.told()["calls"]) == 2
