"""Each known defect alone and both revisions: the right answer or a refusal, never another number."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.doubles.health_data_service import DEFECTS
from tests.health_data.asking import ANNA, FIREBASE_UID, found, numbers, refused
from tests.health_data.metrics import (
    START,
    VALUES,
    days,
    later,
    packed,
    recording,
    steps,
    upload,
)

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]


@pytest.mark.parametrize("store", ["S1", "S2", "S3"])
@pytest.mark.parametrize("defect", DEFECTS)
def test_with_each_defect_alone_the_answer_is_right_or_refused(double, ask, direct, defect, store):
    double.become(store=store, defects=[defect], users={ANNA: ANNA}, audit_fails=defect == "D15")
    double.keep(*days())
    answer = ask()
    if defect == "D01":
        assert refused(answer) == (422, "no_data")
        assert answer.json()["source"]["listed"] == 0
    elif defect == "D10":
        assert refused(answer) == (401, "upstream_unauthenticated")
    else:
        assert numbers(found(answer)["analysis"]) == direct(recording())


@pytest.mark.parametrize("store", ["S1", "S2", "S3"])
def test_d02_leaves_one_metric_of_an_upload_and_the_rest_missing(double, ask, direct, store):
    halves = [packed(VALUES[:5000]), packed(VALUES[5000:], START + timedelta(minutes=5000))]
    double.become(store=store, defects=["D02"])
    double.keep(upload(*halves))
    answer = found(ask())
    assert numbers(answer["analysis"]) == direct(recording(VALUES[5000:], START + timedelta(minutes=5000)))
    assert answer["source"]["loss_possible"] == (store == "S2")


def test_d16_and_a_store_that_fails_once_are_survived(double, ask, direct):
    for defects in ([], ["D16"]):
        double.become(defects=defects, storage_fails=1)
        double.keep(*days())
        assert numbers(found(ask())["analysis"]) == direct(recording())


def test_d16_and_a_store_that_keeps_failing_are_an_upstream_error_without_its_text(double, ask):
    double.become(defects=["D16"], storage_fails=1000)
    assert refused(ask()) == (502, "upstream_error")


def test_d18_hides_uploads_behind_the_store_s_own_page(double, ask, direct):
    double.become(store="S2", defects=["D18"], store_page_bytes=20_000)
    double.keep(*days())
    answer = found(ask())
    assert numbers(answer["analysis"]) == direct(recording())
    assert answer["source"]["used"] == 9


def test_r1_refuses_every_token_and_without_that_it_is_read(double, ask, direct):
    double.become(profile="r1")
    double.keep(*days())
    assert refused(ask(uid=FIREBASE_UID, subject="anna")) == (401, "upstream_unauthenticated")
    double.become(profile="r1", without=["D10"])
    double.keep(*days())
    assert numbers(found(ask(uid=FIREBASE_UID, subject="anna"))["analysis"]) == direct(recording())


def test_r2_lists_nothing_and_without_that_it_is_read(double, ask, direct):
    double.become(profile="r2")
    double.keep(*days())
    assert refused(ask()) == (422, "no_data")
    double.become(profile="r2", without=["D01"])
    double.keep(*days())
    assert numbers(found(ask())["analysis"]) == direct(recording())


def test_d02_leaves_too_little_of_single_minutes_for_any_number(double, ask):
    minutes = [steps(minute, 40) for minute in range(1440)]
    double.become(store="S2", defects=["D02"])
    double.keep(*(upload(*minutes[at : at + 1000], arrived=later(START, at + 1100)) for at in (0, 1000)))
    answer = found(ask())
    assert answer["source"]["loss_possible"]
    analysis = answer["analysis"]
    said = [*analysis["rhythm"]["metrics"], *analysis["activity"]["metrics"]]
    assert len(said) > 10
    assert [metric["code"] for metric in said if metric["value"] is not None] == []
