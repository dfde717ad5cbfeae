"""Weeks in bulk: raw float32 in, JSON or raw float32 out, and a bad row harms no other."""

import numpy as np
import pytest

from pat_runner.engines import chosen

pytestmark = pytest.mark.e2e

RAW = {"Accept": "application/octet-stream"}
READY = {"X-PAT-Standardized": "true"}
SOURCE = {"X-PAT-Unit": "actiwatch_counts", "X-PAT-Device": "synthetic-demo", "X-PAT-Wear-Site": "wrist"}


def weeks(n, minutes=10_080, seed=0):
    return np.random.default_rng(seed).normal(size=(n, minutes)).astype("<f4")


def sent(client, rows, **headers):
    return client.post("/v1/embed", content=rows.tobytes(), headers={**READY, **headers})


def test_raw_rows_are_embedded_as_the_json_door_embeds_them(client):
    rows = weeks(3)
    raw = sent(client, rows).json()
    json = client.post("/embed", json={"weeks": rows.tolist(), "standardized": True}).json()
    ours, theirs = (np.array([week["embedding"] for week in answer["weeks"]]) for answer in (raw, json))
    assert ours.shape == (3, 96)
    assert np.abs(ours - theirs).max() < 1e-6
    assert {**raw, "weeks": None} == {**json, "weeks": None}


def test_numbers_come_back_as_numbers_with_what_they_are_and_what_made_them(client):
    rows = weeks(5)
    answer = sent(client, rows, **RAW)
    document = sent(client, rows).json()
    assert answer.headers["content-type"] == "application/octet-stream"
    found = np.frombuffer(answer.content, "<f4").reshape(5, 96)
    assert np.array_equal(
        found, np.array([week["embedding"] for week in document["weeks"]], np.float32)
    ) or np.allclose(found, [week["embedding"] for week in document["weeks"]], atol=1e-6)
    told = {name: value for name, value in answer.headers.items() if name.startswith("x-pat-")}
    assert told.pop("x-pat-cache") in {"hit", "miss"}
    assert told == {
        "x-pat-rows": "5",
        "x-pat-columns": "embedding=96",
        "x-pat-checkpoint": document["model"]["checkpoint"],
        "x-pat-checkpoint-sha256": document["model"]["sha256"],
        "x-pat-engine": chosen("auto"),
        "x-pat-precision": "fp32",
        "x-pat-calibration": "caller",
    }


def test_profile_and_tokens_follow_the_embedding_of_each_row(client):
    rows = weeks(2, 1260)
    headers = {"X-PAT-Minutes": "1260", "X-PAT-Profile": "true", "X-PAT-Tokens": "true"}
    answer = sent(client, rows, **RAW, **headers)
    assert answer.headers["x-pat-columns"] == "embedding=96,attention_received=70,tokens=6720"
    found = np.frombuffer(answer.content, "<f4").reshape(2, 96 + 70 + 6720)
    document = sent(client, rows, **headers).json()["weeks"]
    for row, week in zip(found, document, strict=True):
        assert np.allclose(row[:96], week["embedding"], atol=1e-6)
        assert np.allclose(row[96:166], week["attention_received"], atol=1e-7)
        assert np.allclose(row[166:].reshape(70, 96), week["tokens"], atol=1e-5)


def test_more_weeks_than_a_batch_keep_their_order(client):
    rows = weeks(21)
    together = np.frombuffer(sent(client, rows, **RAW).content, "<f4").reshape(21, 96)
    for row in (0, 7, 8, 20):
        alone = np.frombuffer(sent(client, rows[row : row + 1], **RAW).content, "<f4")
        assert np.abs(together[row] - alone).max() < 1e-6


def test_256_weeks_fit_through_the_door_and_no_more(client):
    rows = np.zeros((256, 10_080), "<f4")
    answer = sent(client, rows, **RAW)
    assert (answer.status_code, len(answer.content)) == (200, 256 * 96 * 4)
    answer = client.post("/v1/embed", content=rows.tobytes() + b"\0" * 40_320, headers=READY)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert "10321920 bytes; send fewer weeks" in answer.json()["detail"]
    answer = sent(client, np.zeros((257, 1260), "<f4"), **{"X-PAT-Minutes": "1260"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


def test_raw_counts_are_standardised_by_their_cohort(client):
    rows = np.random.default_rng(1).poisson(40, size=(2, 10_080)).astype("<f4")
    rows[0, 100:200] = np.nan
    answer = sent(client, rows, **SOURCE, **{"X-PAT-Standardized": "false"}).json()
    source = {name[6:].lower().replace("-", "_"): value for name, value in SOURCE.items()}
    listed = [[None if np.isnan(value) else float(value) for value in row] for row in rows]
    json = client.post("/embed", json={"weeks": listed, "standardized": False, **source}).json()
    assert answer["calibration"] == "reference_cohort"
    for ours, theirs in zip(answer["weeks"], json["weeks"], strict=True):
        assert np.allclose(ours["embedding"], theirs["embedding"], atol=1e-6)


def test_a_bad_row_harms_no_other_and_says_why(client):
    rows = weeks(4)
    rows[1, 7], rows[3, 8] = np.nan, np.inf
    found = sent(client, rows).json()["weeks"]
    assert [week["embedding"] is None for week in found] == [False, True, False, True]
    assert {week["error"]["code"] for week in (found[1], found[3])} == {"not_finite"}
    good = sent(client, rows[[0, 2]]).json()["weeks"]
    assert np.allclose([week["embedding"] for week in good], [found[0]["embedding"], found[2]["embedding"]])


def test_a_bad_raw_row_harms_no_other_and_says_why(client):
    rows = np.ones((4, 10_080), "<f4")
    rows[0, :4000], rows[1, 5], rows[2, 6] = np.nan, -1, np.inf
    found = sent(client, rows, **SOURCE, **{"X-PAT-Standardized": "false"}).json()["weeks"]
    codes = [week.get("error", {}).get("code") for week in found]
    assert codes == ["too_much_missing", "negative", "not_finite", None]


def test_in_numbers_alone_a_bad_row_refuses_the_request_by_its_number(client):
    rows = weeks(3)
    rows[2, 0] = np.nan
    answer = sent(client, rows, **RAW)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert "rows 2 (not_finite) have no embedding" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", READY, 400, "unparsable"),
        (b"abc", READY, 400, "unparsable"),
        (b"\0" * 40_316, READY, 400, "unparsable"),
        (b"\0" * 40_320, {}, 422, "invalid_field"),
        (b"\0" * 40_320, {"X-PAT-Standardized": "yes"}, 422, "invalid_field"),
        (b"\0" * 40_320, {**READY, "X-PAT-Unit": "counts"}, 422, "invalid_field"),
        (b"\0" * 40_320, {"X-PAT-Standardized": "false"}, 422, "unknown_unit"),
        (b"\0" * 40_320, {**READY, "X-PAT-Zone": "UTC"}, 422, "invalid_field"),
        (b"\0" * 40_320, {**READY, "X-PAT-Minutes": "0"}, 422, "invalid_field"),
        (b"\0" * 40_320, {**READY, "X-PAT-Minutes": "-5"}, 422, "invalid_field"),
        (b"\0" * 40_320, {**READY, "X-PAT-Minutes": "10"}, 422, "invalid_field"),
        (b"\0" * 40_320, {**READY, "X-PAT-Minutes": "99999999"}, 422, "invalid_field"),
        (b"\0" * 40_320, {**READY, "X-PAT-Profile": "maybe"}, 422, "invalid_field"),
        (b"\xff" * 40_320, READY, 422, "invalid_field"),
        (b"\0" * 40_320, {**READY, "Accept": "text/html"}, 406, "not_acceptable"),
        (b"\0" * 40_320, {**READY, "Content-Encoding": "gzip"}, 415, "content_encoding"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_code(client, body, headers, status, code):
    answer = client.post("/v1/embed", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_clinical_numbers_may_be_left_out_at_every_door(client, week):
    bare = client.post("/analyze", json={**week, "options": {"clinical": False}}).json()
    whole = client.post("/analyze", json=week).json()
    assert bare["weeks"] == whole["weeks"]
    reasons = {metric["absent"]["reason"] for metric in bare["sleep"]["metrics"]}
    assert reasons == {"not_requested"}
    body = {**week, "options": {"clinical": False, "series": True}}
    refused = client.post("/analyze", json=body)
    assert (refused.status_code, refused.json()["where"]) == (422, "clinical")
