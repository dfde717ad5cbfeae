"""Jobs in the real guarded process: whose they are, what becomes of them, and what no death takes away."""

import base64
import http.client
import json
import secrets
import shlex
import subprocess
import time
from dataclasses import replace

import psutil
import pytest

from serving.audit_check import events
from serving.care import Care
from serving.job_shelf import JobShelf
from serving.jobs import Jobs
from serving.keys import MasterKeys, new_line
from serving.settings import Settings
from serving.state import audit_folder, open_store, open_vault
from tests.e2e.guarded import bearer, guarded
from tests.e2e.server import serve
from tests.redis_server import redis_server
from tests.shared import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.fhir]
NDJSON = {"Content-Type": "application/x-ndjson"}
UNLIMITED = {"PAT_RATE_CALLER": "100000", "PAT_RATE_TENANT": "100000"}
ENDED = {"done", "failed", "cancelled", "expired"}
DAY = {
    "start": "2026-03-02T00:00:00+01:00",
    "zone": "Europe/Berlin",
    "epoch_seconds": 60,
    "unit": "actiwatch_counts",
}


def item(name, values=(12, 0, None, 431), **more):
    return {**DAY, "id": name, "values": list(values), **more}


def body(*items):
    return b"".join(json.dumps(one).encode() + b"\n" for one in items)


class Caller:
    """One caller of a served process."""

    def __init__(self, served, **claims):
        self.client = served.client(headers=bearer(**claims))

    def submit(self, content, **headers):
        return self.client.post("/v1/jobs", content=content, headers={**NDJSON, **headers})

    def job(self, *items, content=None, **headers):
        answer = self.submit(content or body(*items), **headers)
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
        return answer.json()["id"]

    def state(self, job):
        return self.client.get(f"/v1/jobs/{job}").json()

    def ended(self, job, seconds=60):
        deadline = time.monotonic() + seconds
        while (found := self.state(job))["state"] not in ENDED:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found

    def lines(self, job):
        answer = self.client.get(f"/v1/jobs/{job}/result")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.text.splitlines()]

    def remove(self, job):
        return self.client.delete(f"/v1/jobs/{job}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def served(home, folder):
    with guarded(home, folder, UNLIMITED) as running:
        yield running


@pytest.fixture(scope="module")
def care(folder, served):
    keys = MasterKeys.read(folder / "master.keys")
    return Care(open_vault(Settings(state_folder=str(folder / "state")), keys))


@pytest.fixture
def recorded(folder):
    before = len(list(events(audit_folder(folder / "state"), {})))
    return lambda: [record["event"] for record in events(audit_folder(folder / "state"), {})][before:]


@pytest.fixture
def anne(served):
    return Caller(served, sub=f"anne-{secrets.token_hex(4)}")


def test_a_job_is_done_item_by_item_and_bad_ones_are_set_aside(anne, week):
    bad = item("bad-unit") | {"unit": "parsecs"}
    unknown = item("unknown-field") | {"colour": "blue"}
    job = anne.job(item("one"), bad, {**week, "id": "a-week"}, unknown, item("last"))
    found = anne.ended(job)
    assert (found["state"], found["items"], found["done"], found["set_aside"]) == ("done", 5, 5, 2)
    assert found["result"] == f"/v1/jobs/{job}/result"
    assert found["expires"] > found["ended"] >= found["created"]
    lines = anne.lines(job)
    assert [(line["index"], line["id"]) for line in lines] == list(
        enumerate(["one", "bad-unit", "a-week", "unknown-field", "last"])
    )
    assert [line.get("problem", {}).get("code") for line in lines] == [
        *(None, "unknown_unit", None),
        *("invalid_field", None),
    ]
    alone = anne.client.post("/analyze", json=week).json()
    assert lines[2]["analysis"] == alone
    assert "colour" not in json.dumps(lines)


def test_a_job_may_answer_in_fhir(anne, care):
    care.begin("clinic", anne_uid(anne), "p-fhir")
    job = anne.job(item("one", subject="p-fhir"), **{"X-PAT-Output": "transaction"})
    assert anne.ended(job)["state"] == "done"
    [line] = anne.lines(job)
    assert (line["bundle"]["resourceType"], line["bundle"]["type"]) == ("Bundle", "transaction")
    assert "Patient/p-fhir" in json.dumps(line["bundle"])


def anne_uid(caller):
    token = caller.client.headers["authorization"].split(".")[1]

    return json.loads(base64.urlsafe_b64decode(token + "=="))["sub"]


@pytest.mark.parametrize(
    ("content", "status", "code", "where"),
    [
        (b"", 422, "invalid_field", "body"),
        (b"\n\n \n", 422, "invalid_field", "body"),
        (body(item("a")) + b"[1]\n", 400, "unparsable", "line 2"),
        (body(item("a")) + b'\n{"values": [1', 400, "unparsable", "line 3"),
        (body(item("a"), item("b", (float("nan"),))), 400, "unparsable", "line 2"),
        (b"\xff\xfe\n", 400, "unparsable", "line 1"),
        (body(item(7)), 422, "invalid_field", "line 1.id"),
        (body(item("a", subject="x y")), 422, "invalid_field", "line 1.subject"),
        (body(item("x" * 2_000_000)), 422, "invalid_field", "line 1"),
        (b'{"values": []}\n' * 1_001, 422, "invalid_field", None),
    ],
)
def test_a_body_that_is_none_is_refused_by_the_number_of_its_line(anne, content, status, code, where):
    answer = anne.submit(content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert where in (None, answer.json().get("where"))
    assert anne.submit(body(item("a"))).status_code == 202  # nothing of the refused one is left


def test_a_body_is_ndjson_of_a_size_and_says_what_it_wants(served, anne):
    assert anne.submit(b"{}", **{"Content-Type": "application/json"}).status_code == 415
    assert anne.submit(body(item("a")), **{"X-PAT-Output": "pdf"}).status_code == 422
    assert anne.submit(body(item("a")), **{"X-PAT-Colour": "red"}).status_code == 422
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=20)
    connection.putrequest("POST", "/v1/jobs")
    for name, value in {**anne.client.headers, **NDJSON, "Content-Length": "64000001"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    too_large = connection.getresponse()
    assert (too_large.status, json.load(too_large)["code"]) == (413, "body_too_large")


def test_a_job_is_its_caller_s_and_for_others_it_is_not_there(served, anne):
    job = anne.job(item("one"))
    anne.ended(job)
    others = [
        {"sub": "someone-else"},
        {"sub": anne_uid(anne), "tenant": "elsewhere"},
        {"sub": "a-system", "roles": ["service"]},
        {"sub": "p", "roles": ["patient"], "sid": "p-1"},
    ]
    for claims in others:
        other = Caller(served, **claims)
        for path in (f"/v1/jobs/{job}", f"/v1/jobs/{job}/result"):
            hidden, absent = other.client.get(path), other.client.get(path.replace(job, "A" * 22))
            assert hidden.status_code == absent.status_code == 404
            assert hidden.content == absent.content
        assert other.remove(job).status_code == 404
        assert other.client.get(f"/fhir/jobs/{job}").status_code == 404
    for role in ("admin", "researcher"):
        assert Caller(served, roles=[role]).remove(job).status_code == 403
    assert len(anne.lines(job)) == 1


def test_a_hidden_subject_s_item_is_set_aside_as_one_of_nobody_is(anne, care, recorded):
    care.begin("clinic", anne_uid(anne), "p-mine")
    care.begin("clinic", "another", "p-hidden")
    items = [item("a", subject=name) for name in ("p-hidden", "p-nobody", "Patient/p-mine")]
    job = anne.job(*items)
    assert anne.ended(job)["set_aside"] == 2
    lines = anne.lines(job)
    assert lines[0]["problem"] == lines[1]["problem"]
    assert (lines[0]["problem"]["status"], lines[0]["problem"]["code"]) == (404, "not_found")
    assert lines[2]["analysis"]["schema"] == "pat-analysis/1"
    found = recorded()
    mine = care.pseudonym("clinic", "p-mine")
    assert [e["reason"] for e in found if e["verb"] == "analyze" and e["outcome"] == 4] == ["no_relation"] * 2
    done = [(e["verb"], e["reason"], e["subject"] == mine, e["records"]) for e in found if e["outcome"] == 0]
    assert ("analyze", "http_202", True, 0) in done
    assert ("analyze", "job", True, 0) in done
    assert ("read_job", "http_200", True, 3) in done
    assert all(e["actor"]["uid"] == anne_uid(anne) for e in found)


def test_who_no_longer_cares_for_a_subject_is_told_nothing_of_it(anne, care):
    care.begin("clinic", anne_uid(anne), "p-left")
    job = anne.job(item("a", subject="p-left"), item("b"))
    anne.ended(job)
    assert "analysis" in anne.lines(job)[0]
    care.end("clinic", anne_uid(anne), "p-left")
    first, second = anne.lines(job)
    assert (first["id"], first["problem"]["code"]) == (None, "gone")
    assert "analysis" in second


def test_a_subject_s_deletion_takes_its_items_out_of_jobs(served, anne, care):
    for name in ("p-gone", "p-stays"):
        care.begin("clinic", anne_uid(anne), name)
    job = anne.job(item("a", subject="p-gone"), item("b", subject="p-stays"))
    anne.ended(job)
    exported = anne.client.post("/v1/subjects:export", json={"subject": "p-gone"}).json()["held"]["jobs"]
    assert list(exported) == [f"{job}/0/result"]
    admin = Caller(served, roles=["admin"], sub="admin")
    deleted = admin.client.post("/v1/subjects:delete", json={"subject": "p-gone"}).json()
    assert deleted["deleted"]["jobs"] == 1
    care.begin("clinic", anne_uid(anne), "p-gone")
    first, second = anne.lines(job)
    assert first["problem"]["code"] == "gone"
    assert "analysis" in second


def test_a_key_gives_the_same_job_and_no_other_body(anne):
    key = {"Idempotency-Key": "one-and-only"}
    job = anne.job(item("one"), **key)
    assert anne.job(item("one"), **key) == job
    anne.ended(job)
    assert anne.job(item("one"), **key) == job
    for answer in (
        anne.submit(body(item("two")), **key),
        anne.submit(body(item("one")), **key, **{"X-PAT-Output": "collection"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert anne.job(item("one")) != job
    preferred = anne.submit(body(item("one")), Prefer="respond-async")
    assert preferred.headers["preference-applied"] == "respond-async"


def test_a_cancelled_job_ends_between_items_and_leaves_nothing(anne, week):
    job = anne.job(*[{**week, "id": str(n)} for n in range(200)])
    while anne.state(job)["done"] == 0:
        time.sleep(0.05)
    assert anne.client.get(f"/v1/jobs/{job}/result").status_code == 409
    assert anne.remove(job).json() == {"id": job, "state": "cancelled"}
    found = anne.state(job)
    assert found["state"] == "cancelled"
    assert 0 < found["done"] < 200
    assert anne.client.get(f"/v1/jobs/{job}/result").status_code == 404
    time.sleep(1)
    assert anne.state(job)["done"] == found["done"]
    assert anne.remove(job).json()["state"] == "deleted"
    assert anne.client.get(f"/v1/jobs/{job}").status_code == 404


def test_a_caller_has_four_unfinished_jobs_and_no_more(anne, week):
    jobs = [anne.job(*[{**week, "id": str(n)} for n in range(60)]) for _ in range(4)]
    refused = anne.submit(body(item("one")))
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_jobs")
    assert refused.headers["retry-after"]
    for job in jobs:
        anne.remove(job)
    assert anne.submit(body(item("one"))).status_code == 202


def test_requests_are_answered_while_a_job_runs(anne, week):
    job = anne.job(*[{**week, "id": str(n)} for n in range(200)])
    while anne.state(job)["state"] == "waiting":
        time.sleep(0.05)
    began = time.monotonic()
    for _ in range(5):
        assert anne.client.post("/analyze", json=week).status_code == 200
    assert time.monotonic() - began < 30
    assert anne.state(job)["state"] == "running"
    anne.remove(job)


def test_nothing_of_a_job_stands_in_the_log_the_metrics_or_at_rest(served, folder, anne, care):
    care.begin("clinic", anne_uid(anne), "p-secret-1970")
    job = anne.job(item("name-of-the-item", (987_654.25,) * 4, subject="p-secret-1970"))
    anne.ended(job)
    anne.lines(job)
    kept = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    kept.append(served.log.read_bytes())
    metrics = [path.read_bytes() for path in (served.home / "prometheus_multiproc_dir").rglob("*.db")]
    assert any(b"/v1/jobs/{id}/result" in text for text in metrics)
    kept += metrics
    for secret in (b"p-secret-1970", b"name-of-the-item", b"987654.25"):
        assert not any(secret in text for text in kept)
    assert not any(job.encode() in text for text in (*metrics, served.log.read_bytes()))


def killed_in_the_middle(served, caller, job, least):
    while caller.state(job)["done"] < least:
        time.sleep(0.05)
    killed(served)


def killed(served):
    """Kill every process of the service at once, as a power cut would; each has a group of its own."""
    found = psutil.Process(served.process.pid)
    for one in (found, *found.children(recursive=True)):
        one.kill()
    served.process.wait(timeout=20)


@pytest.fixture(params=["sqlite", "redis"])
def keeping(request):
    if request.param == "sqlite":
        yield {}
        return
    with redis_server("store") as running:
        yield {"PAT_STORE_URL": running.url, "PAT_STORE_CREDENTIALS_FILE": str(running.credentials)}


@pytest.mark.slow
def test_a_job_survives_the_death_of_the_process_with_every_item_once(home, tmp_path, week, keeping):
    names = [str(n) for n in range(40)]
    with guarded(home, tmp_path, UNLIMITED | keeping) as served:
        caller = Caller(served)
        job = caller.job(*[{**week, "id": name} for name in names])
        killed_in_the_middle(served, caller, job, 5)
    before = len(done_items(tmp_path))
    with guarded(home, tmp_path, UNLIMITED | keeping) as served:
        caller = Caller(served)
        found = caller.ended(job, 120)
        assert (found["state"], found["done"], found["set_aside"]) == ("done", 40, 0)
        lines = caller.lines(job)
    assert [line["id"] for line in lines] == names
    assert all("analysis" in line for line in lines)
    assert before >= 5
    assert 40 <= len(done_items(tmp_path)) <= 42  # what was under way was done again


@pytest.mark.slow
def test_two_processes_share_the_jobs_and_do_each_item_once(home, tmp_path):
    with guarded(home, tmp_path, UNLIMITED | {"PAT_API_WORKERS": "2"}) as served:
        callers = [Caller(served, sub=f"caller-{n}") for n in range(3)]
        jobs = [caller.job(*[item(str(n)) for n in range(20)]) for caller in callers]
        for caller, job in zip(callers, jobs, strict=True):
            assert caller.ended(job)["done"] == 20
            assert [line["id"] for line in caller.lines(job)] == [str(n) for n in range(20)]
    assert len(done_items(tmp_path)) == 60


@pytest.mark.slow
def test_an_item_that_the_process_died_on_twice_is_set_aside_and_the_rest_is_done(home, tmp_path):
    with guarded(home, tmp_path, UNLIMITED) as served:
        shelf = shelf_in(tmp_path)
        job = Caller(served).job(item("long", (7,) * 400_000), item("short"))
        killed_on_the_first(served, shelf, job, 0)
    with guarded(home, tmp_path, UNLIMITED) as served:
        killed_on_the_first(served, shelf, job, 1)
    with guarded(home, tmp_path, UNLIMITED) as served:
        caller = Caller(served)
        found = caller.ended(job)
        lines = caller.lines(job)
    assert (found["state"], found["done"], found["set_aside"]) == ("done", 2, 1)
    assert lines[0]["problem"]["code"] == "item_failed"
    assert "analysis" in lines[1]


def killed_on_the_first(served, shelf, job, deaths):
    """Kill the service while the first item is under way, on which it died so often before."""
    deadline = time.monotonic() + 60
    while shelf.progress(job).under_way.get("0") != deaths:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    killed(served)


@pytest.mark.slow
def test_a_service_that_asks_nobody_does_jobs_as_the_page_says(home, tmp_path, week):
    (tmp_path / "nights.ndjson").write_bytes(body(week, item("bad") | {"unit": "parsecs"}))
    keys = tmp_path / "master.keys"
    keys.write_text(new_line("one"))
    keys.chmod(0o400)
    settings = {"PAT_MASTER_KEYS_FILE": str(keys), "PAT_STATE_FOLDER": str(tmp_path / "state")}
    page = (ROOT / "docs" / "api.md").read_text().split("## Jobs")[1]
    commands = page.split("```sh")[1].split("```")[0].strip().splitlines()
    with serve(home, settings) as served:
        job, answers = "", []
        for command in commands:
            asked = command.replace("http://127.0.0.1:3000", served.url).replace("/ID", f"/{job}")
            while (said := run(asked, tmp_path)).get("code") == "job_not_done":
                time.sleep(0.1)
            job = job or said["id"]
            answers.append(said)
    documented = json.loads(page.split("```json")[1].split("```")[0])
    assert answers[0].keys() == answers[1].keys() == documented.keys()
    assert (answers[2]["index"], answers[2]["analysis"]["schema"]) == (0, "pat-analysis/1")
    assert answers[3] == {"id": job, "state": "deleted"}


def run(command, folder):
    """What a command of the page answers, the first line of it."""
    made = subprocess.run(shlex.split(command), cwd=folder, capture_output=True, check=True, timeout=60)
    return json.loads(made.stdout.splitlines()[0])


@pytest.mark.slow
def test_a_job_of_a_thousand_weeks_comes_in_within_its_time_and_little_memory(home, tmp_path, week):
    weeks = body(*[{**week, "id": str(n), "subject": f"p-{n % 100}"} for n in range(1_000)])
    assert 30_000_000 < len(weeks) < 64_000_000
    with guarded(home, tmp_path, UNLIMITED) as served:
        system = Caller(served, roles=["service"], sub="a-system")
        began, before = time.monotonic(), memory(served)
        job = system.job(content=weeks)
        assert time.monotonic() - began < 30
        assert memory(served) - before < 2 * len(weeks)
        deadline = time.monotonic() + 60
        while (found := system.state(job))["done"] < 20:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        assert (found["items"], found["set_aside"]) == (1_000, 0)
        system.remove(job)


def memory(served):
    """Bytes in memory of all processes of the service."""
    family = psutil.Process(served.process.pid).children(recursive=True)
    return sum(one.memory_info().rss for one in family)


def shelf_in(folder):
    keys = MasterKeys.read(folder / "master.keys")
    settings = Settings(state_folder=str(folder / "state"))
    store = open_store(settings)
    return JobShelf(store, open_vault(settings, keys, store))


def test_a_result_that_has_had_its_time_is_there_no_more(anne, folder):
    job = anne.job(item("one"))
    anne.ended(job)
    shelf, sweeper = shelf_in(folder), Jobs(shelf_in(folder))
    shelf.change(job, lambda held: replace(held, ended=held.ended - 24 * 3600 - 1))
    sweeper.sweep()
    found = anne.state(job)
    assert (found["state"], found["result"]) == ("expired", None)
    answer = anne.client.get(f"/v1/jobs/{job}/result")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_result")


def done_items(folder):
    found = [record["event"] for record in events(audit_folder(folder / "state"), {})]
    return [event for event in found if (event["verb"], event["reason"]) == ("analyze", "job")]
