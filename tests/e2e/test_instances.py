"""Two instances behind nginx: they share what is kept and counted, and one may go at any time."""

import asyncio
import json
import time
from collections import Counter

import pytest

from serving.audit_check import events
from serving.state import audit_folder
from tests.e2e.instances import changes, deployed, load
from tests.e2e.server import free_port
from tests.serving.signed import token

pytestmark = [pytest.mark.e2e, pytest.mark.security, pytest.mark.slow, pytest.mark.timeout(600)]
SUBJECT = "anna-canary-1970"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with deployed(tmp_path_factory.mktemp("deployed")) as found:
        yield found


def bearer(**changes):
    return {"Authorization": f"Bearer {token(**changes)}"}


def asked(running, at, path, body=None, method="POST", content=None, **headers):
    with running.client(at) as client:
        return client.request(method, path, json=body, content=content, headers=headers)


def served_by(running, since=0):
    """How many requests each instance answered, by nginx's log."""
    lines = [json.loads(line) for line in running.nginx.requests.splitlines()[since:]]
    return Counter(line["instance"].rpartition(":")[2] for line in lines if line["instance_status"] == "200")


def under_load(running, week, doing, callers=8):
    """Ask all the time while ``doing`` runs in a thread; return the load and what that returned."""
    body = json.dumps(week).encode()

    async def both():
        asking = load(running, body, callers)
        task = asyncio.create_task(asking.run())
        try:
            done = await asyncio.to_thread(doing)
        finally:
            asking.running = False
            await task
        return asking, done

    return asyncio.run(both())


def test_both_answer_about_as_often(running, week):
    asking, _ = under_load(running, week, lambda: time.sleep(4))
    assert asking.failures() == []
    shares = served_by(running)
    assert set(shares) == {str(instance.port) for instance in running.instances}
    assert min(shares.values()) > 0.3 * sum(shares.values())


def test_the_service_sees_the_caller_s_address_and_believes_no_other(running, week):
    import httpx

    from tests.e2e.instances import trusting

    transport = httpx.HTTPTransport(local_address="127.0.0.7", verify=trusting(running.secrets))
    who = bearer(sub="user-address") | {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
    with httpx.Client(transport=transport, base_url=running.nginx.url, timeout=60) as client:
        assert client.post("/analyze", json=week, headers=who).status_code == 200
    found = [
        record["event"]["actor"]["address"]
        for instance in running.instances
        for record in events(audit_folder(instance.state), {"actor.uid": "user-address"})
    ]
    assert found == ["127.0.0.7"]
    deadline = time.monotonic() + 5  # nginx writes once it has answered
    while '"from":"127.0.0.7"' not in running.nginx.requests:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_job_given_to_one_is_read_and_removed_at_the_other(running, week):
    first, second = (instance.url for instance in running.instances)
    who = bearer(sub="user-job")
    lines = json.dumps({"id": "one", "recording": week}) + "\n"
    given = asked(
        running, first, "/v1/jobs", content=lines, **who, **{"Content-Type": "application/x-ndjson"}
    )
    assert given.status_code == 202, given.text
    path = f"/v1/jobs/{given.json()['id']}"
    deadline = time.monotonic() + 60
    while (state := asked(running, second, path, method="GET", **who)).json().get("state") != "done":
        assert state.status_code == 200, state.text
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert asked(running, second, f"{path}/result", method="GET", **who).status_code == 200
    assert asked(running, second, path, method="DELETE", **who).status_code in (200, 204)
    assert asked(running, first, path, method="GET", **who).status_code == 404


def test_a_deletion_at_one_is_seen_by_the_other(running, week):
    first, second = (instance.url for instance in running.instances)
    doctor, admin = bearer(sub="user-doctor"), bearer(sub="user-admin", roles=["admin"])
    body = {**week, "subject": f"Patient/{SUBJECT}"}
    why = {"subject": SUBJECT, "reason": "found unconscious at home"}
    assert asked(running, first, "/v1/emergencies", why, **doctor).status_code == 200
    assert asked(running, second, "/analyze_fhir", body, **doctor).status_code == 200
    assert asked(running, second, "/v1/subjects:delete", {"subject": SUBJECT}, **admin).status_code == 200
    assert asked(running, first, "/analyze_fhir", body, **doctor).status_code == 404


def test_both_count_together(running):
    often = bearer(sub="user-often")
    at = [instance.url for instance in running.instances]
    statuses = [
        asked(running, at[n % 2], "/schema.json", method="GET", **often).status_code for n in range(150)
    ]
    assert statuses.count(200) == 120  # PAT_RATE_CALLER
    assert set(statuses[120:]) == {429}


def test_what_is_too_large_is_told_so(running):
    answer = asked(running, None, "/v1/recordings:analyze", content=b"x" * 16_000_001, **bearer())
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_the_health_check_of_compose_tells_whether_an_instance_is_ready(running):
    import subprocess
    import sys

    from tests.deploy.test_compose import SERVICES

    *_, code = SERVICES["pat-1"]["healthcheck"]["test"]
    here = code.replace("/run/secrets", str(running.secrets))
    ports = {running.instances[0].port: 0, free_port(): 1}
    for port, expected in ports.items():
        line = [sys.executable, "-c", here.replace(":3000/", f":{port}/")]
        done = subprocess.run(line, check=False, capture_output=True, timeout=30)
        assert done.returncode == expected


def test_nobody_else_is_taken_for_an_instance(running, tmp_path):
    """nginx asks no server whose certificate is another's."""
    from tests.certificates import Authority
    from tests.deploy.parts import deployed_nginx

    ports = tuple(instance.port for instance in running.instances)
    stranger = Authority(tmp_path, "stranger")
    with (
        deployed_nginx(running.secrets, ports, **{f"{running.secrets}/ca.pem": str(stranger.file)}) as nginx,
        running.client(nginx.url) as client,
    ):
        assert client.get("/livez").json()["code"] == "no_instance"


def test_no_request_fails_when_one_is_killed_under_load(running, week):
    killed, left = running.instances

    def doing():
        time.sleep(3)
        at = time.monotonic()
        killed.kill()
        time.sleep(3)
        assert set(served_by(running, -20)) == {str(left.port)}
        killed.start()
        killed.wait()
        back = time.monotonic()
        time.sleep(5)
        return at, back

    asking, (at, back) = under_load(running, week, doing)
    assert asking.failures() == []
    assert set(served_by(running, -60)) == {str(instance.port) for instance in running.instances}
    assert asking.rate(back + 1, back + 5) > 0.5 * asking.rate(at - 2, at)


def test_no_request_of_any_kind_fails_when_both_are_renewed_one_after_the_other(running, week):
    """Without a word to nginx; what it must not send twice is asked for as well."""

    def doing():
        for instance in running.instances:
            time.sleep(1)
            assert instance.stop() == 0
            instance.start()
            instance.wait()
        time.sleep(1)

    async def all_of_it():
        asking, changing = load(running, json.dumps(week).encode(), 4), changes(running)
        tasks = [asyncio.create_task(each.run()) for each in (asking, changing)]
        try:
            await asyncio.to_thread(doing)
        finally:
            asking.running = changing.running = False
            await asyncio.gather(*tasks)
        return asking, changing

    for each in asyncio.run(all_of_it()):
        assert each.failures() == []
        assert len(each.told) > 50


def test_an_instance_is_taken_out_and_put_back_by_a_line(running):
    out, left = running.instances
    running.nginx.instances(out.port)
    running.nginx.reload()
    time.sleep(1)
    before = len(running.nginx.requests.splitlines())
    statuses = {asked(running, None, "/livez", method="GET").status_code for _ in range(10)}
    assert statuses == {200}
    time.sleep(0.5)
    assert set(served_by(running, before)) == {str(left.port)}
    running.nginx.instances()
    running.nginx.reload()
    time.sleep(1)


def test_nothing_of_anybody_is_in_nginx_s_logs(running):
    text = running.nginx.requests + running.nginx.errors
    for secret in (SUBJECT, "user-doctor", "found unconscious", "Bearer"):
        assert secret not in text
    assert "buffered to a temporary file" not in text
