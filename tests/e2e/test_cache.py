"""The cache through every door that computes: the same bytes with and without, told in a header."""

import asyncio
import json
import re
from collections import Counter

import httpx
import numpy as np
import pytest

from tests.e2e.fhir_inputs import parameters
from tests.e2e.server import serve
from tests.shared import ROOT

pytestmark = pytest.mark.e2e

COMPUTED = {"Cache-Control": "no-store"}
FHIR = {"Content-Type": "application/fhir+json"}
READY = {"X-PAT-Standardized": "true"}
DIRECTIVES = ["no-store", "no-cache", "max-age=0, No-Store"]


NOON = 5_000  # the place of a minute that PAT reads


def own_week(week, number):
    """The example week as nobody else sends it."""
    return {**week, "values": [*week["values"][:NOON], number, *week["values"][NOON + 1 :]]}


def rows(seed, n=1):
    return np.random.default_rng(seed).normal(size=(n, 10_080)).astype("<f4").tobytes()


def asks(week, number):
    """A request for every door that computes, of a recording of its own."""
    fhir = parameters({"name": "return", "valueCode": "transaction"})
    data = fhir["parameter"][0]["resource"]["valueSampledData"]
    numbers = data["data"].split(" ")
    data["data"] = " ".join([*numbers[:NOON], str(number), *numbers[NOON + 1 :]])
    return {
        "/analyze": {"json": own_week(week, number)},
        "/analyze_fhir": {"json": own_week(week, number)},
        "/fhir/$analyze": {"content": json.dumps(fhir).encode(), "headers": FHIR},
        "/explain": {"json": own_week(week, number)},
        "/v1/recordings:analyze": {"json": own_week(week, number)},
        "/v1/recordings:report": {"json": own_week(week, number)},
        "/v1/embed": {"content": rows(number), "headers": {**READY, "Accept": "application/octet-stream"}},
        "/embed": {"json": {"weeks": [[0.5] * 1260, [float(number)] * 1260], "standardized": True}},
    }


DOORS = list(asks({"values": []}, 0))


def asked(client, path, request, **headers):
    answer = client.post(path, **{**request, "headers": {**request.get("headers", {}), **headers}})
    assert answer.status_code == 200, answer.text
    return answer


def use(answer):
    return answer.headers["x-pat-cache"]


def counted(client, name, **labels):
    """The sum of a metric over all that has these labels."""
    found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", client.get("/metrics").text, re.MULTILINE)
    wanted = {f'{label}="{value}"' for label, value in labels.items()}
    return sum(float(value) for given, value in found if wanted <= set(given.split(",")))


@pytest.mark.parametrize("path", DOORS)
def test_a_door_answers_the_same_bytes_with_and_without_the_cache(client, week, path):
    request = asks(week, 300 + DOORS.index(path))[path]
    without = asked(client, path, request, **COMPUTED)
    first, second = asked(client, path, request), asked(client, path, request)
    assert [use(answer) for answer in (without, first, second)] == ["bypass", "miss", "hit"]
    assert without.content == first.content == second.content
    assert without.headers["content-type"] == second.headers["content-type"]


def test_a_document_is_the_same_through_every_door_that_finds_it(client, week):
    mine = own_week(week, 777)
    assert use(asked(client, "/analyze", {"json": mine})) == "miss"
    again = asked(client, "/v1/recordings:analyze", {"json": mine})
    fhir = asked(client, "/analyze_fhir", {"json": mine})
    assert (use(again), use(fhir)) == ("hit", "hit")
    assert fhir.content == asked(client, "/analyze_fhir", {"json": mine}, **COMPUTED).content


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_a_caller_who_wants_it_computed_leaves_nothing_behind(client, week, directive):
    mine = {"json": own_week(week, 800 + DIRECTIVES.index(directive))}
    assert use(asked(client, "/analyze", mine, **{"Cache-Control": directive})) == "bypass"
    assert use(asked(client, "/analyze", mine)) == "miss"


def test_other_options_are_another_answer_and_pat_is_not_computed_again(client, week):
    mine = own_week(week, 811)
    assert use(asked(client, "/analyze", {"json": mine})) == "miss"
    weeks, found = (
        counted(client, "pat_batch_weeks_sum"),
        counted(client, "pat_cache_requests_total", outcome="hit"),
    )
    for option in ({"intervals": True}, {"series": True}, {"threshold": "low"}, {"clinical": False}):
        assert use(asked(client, "/analyze", {"json": {**mine, "options": option}})) == "miss"
    assert counted(client, "pat_batch_weeks_sum") == weeks
    assert counted(client, "pat_cache_requests_total", outcome="hit", kind="embedding") >= 4
    assert counted(client, "pat_cache_requests_total", outcome="hit") == found + 4
    assert use(asked(client, "/analyze", {"json": {**mine, "options": {"profile": True}}})) == "miss"
    assert counted(client, "pat_batch_weeks_sum") == weeks + 1


@pytest.mark.parametrize(
    "change",
    [
        {"zone": "Europe/Paris"},
        {"start": "2026-03-03T00:00:00+01:00"},
        {"device": "other"},
        {"wear_site": "hip"},
        {"options": {"wear": "as_recorded"}},
    ],
    ids=str,
)
def test_whatever_decides_the_answer_decides_what_is_found(client, week, change):
    mine = own_week(week, 820)
    asked(client, "/analyze", {"json": mine})
    changed = client.post("/analyze", json={**mine, **change})
    assert changed.status_code != 200 or use(changed) == "miss"


def test_two_weeks_with_equal_ends_are_two_weeks(client, week):
    one = own_week(week, 830)
    first, second = (asked(client, "/analyze", {"json": each}) for each in (one, own_week(week, 831)))
    assert (use(second), first.content == second.content) == ("miss", False)


def test_only_the_weeks_that_are_new_are_computed(client):
    request = {"content": rows(1), "headers": READY}
    asked(client, "/v1/embed", request)
    before = counted(client, "pat_batch_weeks_sum")
    both = asked(client, "/v1/embed", {"content": rows(2, 3) + rows(1), "headers": READY})
    assert (use(both), counted(client, "pat_batch_weeks_sum") - before) == ("miss", 3)
    alone = asked(client, "/v1/embed", request)
    assert use(alone) == "hit"
    assert alone.json()["weeks"] == both.json()["weeks"][3:]


def test_a_row_that_is_refused_is_refused_again(client):
    bad = np.full((2, 10_080), np.nan, "<f4")
    bad[0] = 1
    request = {"content": bad.tobytes(), "headers": READY}
    first, second = (asked(client, "/v1/embed", request) for _ in range(2))
    assert first.content == second.content
    assert second.json()["weeks"][1]["error"]["code"] == "not_finite"


def test_what_is_refused_has_no_such_header(client):
    for answer in (client.post("/analyze", json={}), client.get("/v1/status"), client.get("/livez")):
        assert "x-pat-cache" not in answer.headers


async def at_once(url, path, requests):
    async with httpx.AsyncClient(
        base_url=url, timeout=120, limits=httpx.Limits(max_connections=250)
    ) as client:
        return await asyncio.gather(*(client.post(path, **request) for request in requests))


def test_200_equal_requests_at_once_are_computed_once(served, client, week):
    before = counted(client, "pat_batch_weeks_sum")
    answers = asyncio.run(at_once(served.url, "/analyze", [{"json": own_week(week, 840)}] * 200))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert Counter(map(use, answers)) == {"miss": 1, "hit": 199}
    assert counted(client, "pat_batch_weeks_sum") - before == 1


def test_100_equal_orders_of_weeks_at_once_are_computed_once(served, client):
    before = counted(client, "pat_batch_weeks_sum")
    request = {"content": rows(99, 4), "headers": READY}
    answers = asyncio.run(at_once(served.url, "/v1/embed", [request] * 100))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert counted(client, "pat_batch_weeks_sum") - before == 4


@pytest.mark.slow
def test_without_a_cache_everything_is_computed_and_says_so(home, week, client):
    with serve(home, {"PAT_CACHE_BYTES": "0"}) as running, running.client() as bare:
        request = {"json": own_week(week, 850)}
        answers = [asked(bare, "/analyze", request) for _ in range(2)]
        assert [use(answer) for answer in answers] == ["bypass"] * 2
        assert answers[0].content == asked(client, "/analyze", request).content
        assert bare.get("/v1/status").json()["degraded"] == []


def test_the_example_files_are_the_same_with_and_without_the_cache(client):
    for path in sorted((ROOT / "examples").glob("*.json")):
        document = json.loads(path.read_text())
        if isinstance(document, dict) and "values" in document:
            request = {"json": document}
            found = [asked(client, "/analyze", request) for _ in range(2)]
            assert found[0].content == found[1].content
