"""The whole chain over HTTP: the service, the health data service's double, every defect and every shape."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.doubles.fault_proxies import faulty
from tests.doubles.health_data_service import DEFECTS, running
from tests.e2e.health_metrics import (
    PERIOD,
    START,
    VALUES,
    WEEK,
    ZONE,
    days,
    envelope,
    metric,
    named,
    packed,
    plain,
    recording,
    steps,
    upload,
)
from tests.e2e.server import serve
from tests.serving.signed import token

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]
DOOR = "/v1/subjects:analyze"
ANNA = "7d1c0a52-3f0e-4c8b-9a4e-0b6f2f1e9c11"  # a subject that is a UUID upstream as well
FIREBASE_UID = "k2Jd8sLq0XbYt5VnRz7PwE3mAaC1"  # 28 letters, as Firebase makes them
SECONDS = 6
PAGES = 40
JSON = dict[str, Any]


@pytest.fixture(scope="module")
def double():
    with running() as one:
        yield one


@pytest.fixture(scope="module")
def proxy(double):
    with faulty(int(double.url.rpartition(":")[2])) as one:
        yield one


@pytest.fixture(scope="module")
def service(home, proxy, tmp_path_factory):
    users = tmp_path_factory.mktemp("users") / "users.json"
    users.write_text(json.dumps({"anna": ANNA}))
    settings = {
        "PAT_HEALTH_DATA_URL": f"http://127.0.0.1:{proxy.port}",
        "PAT_HEALTH_DATA_USERS_FILE": str(users),
        "PAT_HEALTH_DATA_SECONDS": str(SECONDS),
        "PAT_HEALTH_DATA_PAGES": str(PAGES),
    }
    with serve(home, settings) as running_service:
        yield running_service


@pytest.fixture(scope="module")
def direct(service):
    """The numbers of a recording that is sent to the service itself."""
    found: dict[str, JSON] = {}

    def asked(sent: JSON) -> JSON:
        name = json.dumps(sent)
        if name not in found:
            with service.client() as client:
                answer = client.post("/analyze", json=sent)
            assert answer.status_code == 200, answer.text
            found[name] = numbers(answer.json())
        return found[name]

    return asked


@pytest.fixture
def ask(service):
    """Ask for the subject's analysis, as its patient."""

    def asked(uid: str = ANNA, accept: str = "application/json", **changes: Any) -> Any:
        body = {"subject": ANNA, **PERIOD, **changes}
        headers = {"Authorization": f"Bearer {token(sub=uid)}", "Accept": accept}
        with service.client() as client:
            answer = client.post(DOOR, json=body, headers=headers)
        assert answer.status_code != 500
        assert "secret-text" not in answer.text
        return answer

    return asked


def numbers(analysis: JSON) -> JSON:
    """All that was computed, and the digest of what it was computed from."""
    kept = {name: analysis[name] for name in ("sleep", "rhythm", "activity", "weeks", "weeks_absent")}
    return {**kept, "input_sha256": analysis["provenance"]["input_sha256"]}


def found(answer: Any) -> JSON:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: Any) -> tuple[int, str]:
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["code"]


@pytest.mark.parametrize("store", ["S1", "S2", "S3"])
def test_the_answer_is_that_of_the_recording_itself_in_every_store(double, ask, direct, store):
    double.become(store=store)
    double.keep(*days())
    answer = found(ask())
    assert numbers(answer["analysis"]) == direct(recording())
    assert answer["source"]["used"] == len(answer["source"]["processing_ids"]) == 9
    assert (answer["source"]["truncated"], answer["source"]["set_aside"]) == (False, {})
    assert answer["source"]["loss_possible"] == (store == "S2")
    assert answer["written_back"] is None


def test_only_the_list_is_asked_with_the_caller_s_token_explicit_offsets_and_times_with_offset(double, ask):
    double.become()
    double.keep(*days())
    found(ask())
    calls = double.told()["calls"]
    assert {(call["method"], call["path"]) for call in calls} == {("GET", "/api/v1/health-data/")}
    assert [call["query"]["offset"] for call in calls] == ["0", "1000", "2000"]
    assert all(call["query"]["start_date"].endswith("+00:00") for call in calls)
    assert all(call["authorization"].startswith("Bearer ey") for call in calls)
    assert not {"data_type", "cursor", "source"} & set(calls[0]["query"])


def test_a_week_of_single_minutes_is_read_from_all_its_pages(double, ask, direct):
    week = VALUES[:10_080]
    metrics = [packed([value], START + timedelta(minutes=at)) for at, value in enumerate(week)]
    uploads = [
        upload(*metrics[at : at + 1000], arrived=START + timedelta(minutes=at + 1001))
        for at in range(0, len(metrics), 1000)
    ]
    for store in ("S1", "S3"):
        double.become(store=store)
        double.keep(*uploads)
        answer = found(ask())
        assert numbers(answer["analysis"]) == direct(recording(week))
        assert (answer["source"]["pages"], answer["source"]["used"]) == (13, 10_080)
        assert len(answer["source"]["processing_ids"]) == 11


def test_steps_whose_metadata_say_when_are_the_steps_of_those_minutes(double, ask, direct):
    double.become()
    amounts = [minute % 7 for minute in range(1440)]
    double.keep(upload(*(steps(minute, amount) for minute, amount in enumerate(amounts))))
    answer = found(ask())
    assert numbers(answer["analysis"]) == direct(recording(amounts, unit="steps"))


def test_envelopes_of_healthkit_are_joined(double, ask, direct):
    double.become()
    amounts = [minute % 7 for minute in range(2880)]
    halves = [list(enumerate(amounts))[:1440], list(enumerate(amounts))[1440:]]
    double.keep(*(upload(envelope(half)) for half in halves))
    answer = found(ask())
    assert numbers(answer["analysis"]) == direct(recording(amounts, unit="steps"))
    assert answer["source"]["used"] == 2


def test_the_days_of_a_clock_change_are_those_of_the_zone(double, ask, direct):
    values, start = VALUES[:10_080], datetime(2024, 3, 28, tzinfo=ZoneInfo(ZONE))
    double.become()
    double.keep(*days(values, start))
    answer = found(ask(since="2024-03-28", until="2024-04-04"))
    assert numbers(answer["analysis"]) == direct(recording(values, start))
    assert answer["analysis"]["weeks"][0]["dst_transition"]


def test_late_uploads_are_found_and_those_after_the_margin_are_not(double, ask, direct):
    end = START + timedelta(minutes=len(VALUES))
    for store in ("S2", "S3"):
        double.become(store=store)
        double.keep(upload(packed(), arrived=end + timedelta(days=13)))
        assert numbers(found(ask())["analysis"]) == direct(recording())
        double.become(store=store)
        double.keep(upload(packed(), arrived=end + timedelta(days=20)))
        assert refused(ask()) == (422, "no_data")


def test_the_period_is_what_was_measured_in_it(double, ask, direct):
    double.become()
    double.keep(*days())
    answer = found(ask(since="2024-05-15", until="2024-05-17"))
    begin = START.replace(day=15, hour=0, minute=0)
    first = round((begin - START).total_seconds() / 60)
    assert numbers(answer["analysis"]) == direct(recording(VALUES[first : first + 3 * 1440], begin))
    assert answer["source"]["set_aside"] == {"out_of_period": 5}


def test_what_is_uploaded_twice_counts_once(double, ask, direct):
    double.become()
    again = [upload(*one["metrics"], arrived=START + timedelta(days=9)) for one in days()]
    double.keep(*days(), *again, upload(packed(), arrived=START + timedelta(days=10)))
    answer = found(ask())
    assert numbers(answer["analysis"]) == direct(recording())
    assert answer["source"]["set_aside"] == {"duplicate": 9}


def test_naive_times_are_set_aside_and_their_minutes_stay_missing(double, ask, direct):
    naive = packed(VALUES[1440:2880], START + timedelta(days=1))
    naive["raw_data"]["start"] = naive["raw_data"]["start"][:19]
    double.become()
    double.keep(
        upload(packed(VALUES[:1440])), upload(naive), upload(packed(VALUES[2880:], START + timedelta(days=2)))
    )
    answer = found(ask())
    gap = [*VALUES[:1440], *[None] * 1440, *VALUES[2880:]]
    assert numbers(answer["analysis"]) == direct(recording(gap))
    assert answer["source"]["set_aside"] == {"naive_timestamp": 1}


def test_other_metrics_other_words_and_garbage_are_counted_and_harm_nothing(double, ask, direct):
    heart = metric(named("heart"), START, metric_type="heart_rate", biometric_data={"heart_rate": 61})
    note = metric(
        named("note"), START, metric_type="mood_assessment", mental_health_data={"notes": "secret-text"}
    )
    garbage: list[Any] = [
        "text",
        7,
        None,
        [],
        {"metric_id": named("g1"), "metric_type": "teleported", "created_at": START.isoformat()},
        {"metric_id": 5, "raw_data": "x", "created_at": START.isoformat()},
        packed(start=START, values="x", time_zone="Europe/Berlin")["raw_data"],
        metric(named("g2"), START, raw_data={"profile": "actigraphy-series/1", "quantity": "counts"}),
        packed([1], epoch_seconds=True),
        packed([2], time_zone="Nowhere/At_All"),
        packed([3], start=START) | {"raw_data": {**packed([3])["raw_data"], "start": 1715609999}},
        steps(3, "many"),
        steps(4, 1e400),
    ]
    for store in ("S1", "S3"):
        double.become(store=store)
        double.keep(*days(), upload(heart, note, *garbage[:-1], arrived=START + timedelta(days=9)))
        answer = found(ask())
        assert numbers(answer["analysis"]) == direct(recording())
        aside = answer["source"]["set_aside"]
        assert aside["other_quantity"] == 2
        assert aside["unknown_type"] >= 1
        assert sum(aside.values()) + answer["source"]["used"] == answer["source"]["listed"]


A_DAY = {"end": (START + timedelta(days=1)).isoformat()}
MIMS = packed([1.5], quantity="mims", unit="mims")
TOKYO = envelope([(1, 4), (2, 4)], "Asia/Tokyo")
REFUSED = {
    "nothing": ([], "no_data"),
    "plain steps": ([upload(*(plain(minute, 9) for minute in range(60)))], "no_epoch_information"),
    "a day's total": (
        [upload(steps(0, 8000, **A_DAY))],
        "resolution_too_coarse",
    ),
    "no zone": ([upload(packed(time_zone=...))], "no_time_zone"),
    "naive": ([upload(packed(start=START.replace(tzinfo=None)))], "naive_timestamp"),
    "two quantities": ([upload(packed(), steps(0, 4))], "mixed_quantities"),
    "series and samples": ([upload(packed(), envelope([(0, 4)]))], "mixed_quantities"),
    "units": (
        [upload(packed(VALUES[:1440]), packed([1.5], quantity="mims", unit="mims"))],
        "mixed_quantities",
    ),
    "unknown unit": ([upload(packed(unit="furlongs"))], "unknown_unit"),
    "two zones of samples": (
        [upload(envelope([(0, 4)]), envelope([(1, 4), (2, 4)], "Asia/Tokyo"))],
        "invalid_field",
    ),
    "a heart rate": ([upload(metric(named("h"), START, metric_type="heart_rate"))], "no_data"),
}


@pytest.mark.parametrize("which", REFUSED)
def test_what_cannot_be_analysed_is_refused_by_name_and_counted(double, ask, which):
    uploads, code = REFUSED[which]
    double.become()
    double.keep(*uploads)
    assert refused(ask()) == (422, code)


def test_a_zone_and_a_quantity_may_be_asked_for(double, ask, direct):
    double.become()
    double.keep(upload(packed(time_zone=...), steps(0, 4)))
    answer = found(ask(zone=ZONE, quantity="counts"))
    assert numbers(answer["analysis"]) == direct(recording())
    assert answer["source"]["set_aside"] == {"other_quantity": 1}


CLEAN = {"D03", "D04", "D05", "D07", "D09", "D11", "D12", "D13", "D14", "D15", "D19", "D20"}


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


def test_pages_beyond_the_cap_are_said_to_be_missing(double, ask):
    double.become(endless=True)
    answer = ask()
    assert refused(answer) == (422, "no_data")
    assert answer.json()["source"]["truncated"] is True
    assert answer.json()["source"]["pages"] == PAGES


E2 = {"detail": [{"loc": ["query"], "msg": "secret-text", "type": "x"}]}
ENCODED = {"status": 200, "headers": {"Content-Encoding": "gzip"}, "body": "x"}
DOCUMENTED = {"status": 404, "body": {"error": {"code": "x", "message": "secret-text"}}}
LIMITED = {"status": 429, "headers": {"Retry-After": "1"}, "body": {"type": "rate_limit_exceeded"}}
ERRORS = {
    "E1 500 twice": ([{"status": 500, "body": {"type": "x/internal-server-error"}}] * 2, None),
    "E1 500": ([{"status": 500, "body": {"detail": "secret-text"}}] * 9, (502, "upstream_error")),
    "503 twice": ([{"status": 503, "headers": {"Retry-After": "1"}}] * 2, None),
    "503": ([{"status": 503, "headers": {"Retry-After": "1"}}] * 9, (503, "upstream_unavailable")),
    "429": (
        [LIMITED],
        None,
    ),
    "429 for long": ([{"status": 429, "headers": {"Retry-After": "999"}}], (503, "upstream_unavailable")),
    "403": ([{"status": 403, "body": {"detail": "secret-text"}}], (502, "upstream_error")),
    "404": (
        [DOCUMENTED],
        (502, "upstream_error"),
    ),
    "410": ([{"status": 410, "body": {"detail": {"error": "gone"}}}], (502, "upstream_error")),
    "422": ([{"status": 422, "body": E2}], (502, "upstream_error")),
    "401 flat": ([{"status": 401, "body": {"error": "invalid_token"}}], (401, "upstream_unauthenticated")),
    "redirect": ([{"status": 307, "headers": {"Location": "http://127.0.0.1:9/"}}], (502, "upstream_error")),
    "no JSON": ([{"status": 200, "body": "<html>secret-text</html>"}], (502, "upstream_error")),
    "no list": ([{"status": 200, "body": {"metrics": []}}], (502, "upstream_error")),
    "NaN": ([{"status": 200, "body": '{"data": [NaN]}'}], (502, "upstream_error")),
    "deep": ([{"status": 200, "body": '{"data": ' + "[" * 100_000}], (502, "upstream_error")),
    "encoded": (
        [ENCODED],
        (502, "upstream_error"),
    ),
    "too large": ([{"status": 200, "body": " " * 17_000_000}], (502, "upstream_error")),
}


@pytest.mark.parametrize("which", ERRORS)
def test_every_error_of_upstream_is_retried_or_told_without_its_words(double, ask, direct, service, which):
    answers, expected = ERRORS[which]
    double.become(answers=answers)
    double.keep(*days())
    answer = ask()
    double.become()
    double.keep(*days())
    if expected is None:
        assert numbers(found(answer)["analysis"]) == direct(recording())
    else:
        assert refused(answer) == expected
        assert ("retry-after" in answer.headers) == (expected[0] == 503)
    assert ask().status_code == 200  # one that fails is not left alone yet
    assert "secret-text" not in service.log.read_text()


def test_the_fhir_answer_says_where_it_comes_from_in_its_headers(double, ask):
    double.become()
    double.keep(*days())
    answer = ask(accept="application/fhir+json")
    assert (answer.status_code, answer.json()["resourceType"]) == (200, "Bundle")
    assert f"Patient/{ANNA}" in answer.text
    source = json.loads(answer.headers["x-pat-source"])
    assert (source["used"], source["processing_ids"], source["truncated"]) == (9, 9, False)
    assert ask(accept="text/html").status_code == 406


BAD = {
    "no day": {"since": "yesterday"},
    "backwards": {"since": "2024-05-21", "until": "2024-05-13"},
    "an unknown field": {"notes": "secret-text"},
    "an unknown quantity": {"quantity": "heartbeats"},
    "text for a boolean": {"write_back": "yes"},
}


@pytest.mark.parametrize("which", BAD)
def test_a_body_that_is_not_as_described_is_refused_before_anything_is_asked(double, ask, which):
    double.become()
    assert refused(ask(**BAD[which])) == (422, "invalid_field")
    assert refused(ask(zone="Nowhere/At_All")) == (422, "no_time_zone")
    assert double.told()["calls"] == []


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


def degraded(service) -> list[str]:
    with service.client() as client:
        return client.get("/v1/status").json()["degraded"]


@pytest.fixture
def closed(ask, double, proxy, service):
    """After the test: nothing is wrong any more, and the breaker lets through again."""
    yield
    proxy.become("pass")
    double.become()
    double.keep(*days())
    ends = time.monotonic() + 30
    while ask().status_code != 200:
        assert time.monotonic() < ends
        time.sleep(0.5)
    assert degraded(service) == []


def test_a_little_latency_changes_nothing(double, ask, direct, proxy, closed):
    double.become()
    double.keep(*days())
    proxy.become("latency", 0.2)
    assert numbers(found(ask())["analysis"]) == direct(recording())


@pytest.mark.parametrize(("mode", "seconds"), [("blackhole", 0), ("slow", 0.5), ("latency", 30)])
def test_who_does_not_answer_in_time_is_waited_for_until_the_deadline(
    double, ask, proxy, closed, mode, seconds
):
    double.become()
    double.keep(*days())
    proxy.become(mode, seconds)
    begun = time.monotonic()
    answer = ask()
    assert refused(answer) == (503, "upstream_unavailable")
    assert time.monotonic() - begun < SECONDS + 3
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("mode", ["reset", "refuse"])
def test_the_breaker_opens_says_so_and_closes_again(double, ask, direct, proxy, service, closed, mode):
    double.become()
    double.keep(*days())
    assert found(ask())["source"]["used"] == 9
    assert degraded(service) == []
    proxy.become(mode)
    for _ in range(3):
        assert refused(ask()) == (503, "upstream_unavailable")
    assert degraded(service) == ["health_data"]
    proxy.become("pass")
    begun = time.monotonic()
    answer = ask()  # it is not tried while the breaker is open
    assert refused(answer) == (503, "upstream_unavailable")
    assert time.monotonic() - begun < 2
    time.sleep(int(answer.headers["retry-after"]) + 0.5)
    assert numbers(found(ask())["analysis"]) == direct(recording())
    assert degraded(service) == []


def test_an_analysis_that_cannot_be_delivered_is_answered_in_time(double, ask, proxy, closed):
    double.become(hang_on_save=True)
    double.keep(*days())
    begun = time.monotonic()
    answer = found(ask(write_back=True))
    assert answer["written_back"]["status"] == "failed"
    assert answer["written_back"]["reason"] == "upstream_unavailable"
    assert time.monotonic() - begun < 2 * SECONDS + 3


@pytest.mark.parametrize("authorization", [None, "Bearer dev_token_admin", "Basic YTpi", "Bearer a.b."])
def test_nothing_is_asked_without_a_signed_token(double, service, authorization):
    double.become(defects=["D13"])
    headers = {} if authorization is None else {"Authorization": authorization}
    with service.client() as client:
        answer = client.post(DOOR, json={"subject": ANNA, **PERIOD}, headers=headers)
    assert refused(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert double.told()["calls"] == []


def test_another_user_s_uploads_are_set_aside(double, ask):
    double.become(store="S3")
    double.keep(*days())  # kept of user *, whom nobody is mapped to
    stranger = {**upload(packed()), "user": ANNA}
    double.become(store="S3")
    double.keep(stranger)
    assert found(ask())["source"]["used"] == 1


def test_a_service_without_a_health_data_service_has_no_such_door(served):
    with served.client() as client:
        answer = client.post(DOOR, json={"subject": ANNA, **PERIOD})
    assert refused(answer) == (404, "no_health_data_service")
    assert WEEK["zone"] == ZONE
