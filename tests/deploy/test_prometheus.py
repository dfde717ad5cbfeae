"""The rules of deploy/prometheus: each fires and keeps quiet, and asks for what our code tells."""

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from tests.deploy.exported import TARGETS, exported, names, registries, strange_labels
from tests.deploy.test_grafana import queries
from tests.deploy.tools import PROMETHEUS, alerts, read, recorded, run
from tests.shared import ROOT, shared

CASES = sorted((ROOT / "tests" / "deploy" / "rules").glob("*.yml"))
COMPARED = re.compile(r"histogram_quantile\([^>]*?(pat_\w+_bucket)[^>]*> ([\d.]+)")
UNUSED = {  # metrics that neither an alert nor a panel asks for, and why
}


def expressions():
    """The expression of every rule."""
    yield from ((alert, rule["expr"]) for alert, rule in alerts().items())
    yield from recorded().items()
    yield from recorded("clarity-names.yml").items()


def cases():
    return [case for file in CASES for one in read(file)["tests"] for case in one.get("alert_rule_test", [])]


def grouped(expression):
    """The labels that an expression groups or joins by."""
    found = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", expression)
    return {label.strip() for labels in found for label in labels.split(",") if label.strip()}


@pytest.mark.parametrize("file", ["alerts.yml", "slo.yml", "clarity-names.yml"])
def test_prometheus_takes_the_rules(file):
    done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", PROMETHEUS / file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_example_configuration_and_finds_its_rules():
    done = run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 rule files found" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_the_alerts_do_as_their_cases_say(file):
    done = run("promtool", "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_threshold_that_moves_breaks_a_case(tmp_path):
    moved = (PROMETHEUS / "alerts.yml").read_text().replace("pat_queue_weeks > 100", "pat_queue_weeks > 99")
    assert moved != (PROMETHEUS / "alerts.yml").read_text()
    (tmp_path / "alerts.yml").write_text(moved)
    case = (ROOT / "tests" / "deploy" / "rules" / "inference.yml").read_text()
    case = case.replace("../../../deploy/prometheus/alerts.yml", "alerts.yml")
    (tmp_path / "case.yml").write_text(case.replace("../../../deploy/prometheus", str(PROMETHEUS)))
    assert run("promtool", "test", "rules", tmp_path / "case.yml").returncode == 1


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet():
    outcomes = {alert: set() for alert in alerts()}
    for case in cases():
        outcomes[case["alertname"]].add(bool(case["exp_alerts"]))
    assert {alert for alert, seen in outcomes.items() if seen != {True, False}} == set()


def test_every_alert_says_how_bad_it_is_what_it_is_and_what_to_do():
    for alert, rule in alerts().items():
        assert rule["labels"].keys() == {"severity"}, alert
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), alert
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}, alert
        assert all(rule["annotations"].values()), alert


def test_every_rule_asks_for_what_our_code_tells():
    known = {*exported(), *recorded()}
    assert {rule: names(asked) - known for rule, asked in expressions() if names(asked) - known} == {}


def test_every_rule_selects_by_labels_and_bounds_that_are_there():
    assert [(rule, use) for rule, asked in expressions() for use in strange_labels(asked)] == []


def test_every_rule_groups_by_labels_that_are_there():
    for rule, asked in expressions():
        told = names(asked) & exported().keys()
        if told == names(asked):
            known = {label for name in told for label in exported()[name].labels} | TARGETS | {"le"}
            known |= set(re.findall(r'"(\w+)", "\$1"', asked))  # which label_replace makes
            assert grouped(asked) <= known, rule


def test_a_quantile_is_compared_with_the_bound_of_a_bucket():
    """Between two bounds Prometheus guesses."""
    compared = []
    for rule in alerts().values():
        expression = rule["expr"]
        for name, text in recorded().items():
            expression = expression.replace(name, text)
        compared += COMPARED.findall(expression)
    assert len(compared) == 4
    assert [one for one in compared if float(one[1]) not in exported()[one[0]].buckets] == []


def test_everything_told_is_asked_for_by_an_alert_or_a_panel_or_named_as_unused():
    asked = [rule["expr"] for rule in alerts().values()] + list(recorded().values()) + queries()
    used = set().union(*map(names, asked))
    unasked = {metric.name for metric in exported().values() if not used & set(metric.series)}
    assert unasked == set(UNUSED)


def test_what_our_code_tells_is_named_as_prometheus_wants_it():
    text = b"".join(generate_latest(registry) for registry in registries()).decode()
    done = run("promtool", "check", "metrics", given=text)
    complaints = (done.stdout + done.stderr).splitlines()
    # It takes our unit, the week, for one of time.
    assert [one for one in complaints if not one.endswith('use base unit "seconds" instead of "weeks"')] == []


def test_the_example_scrapes_what_the_service_documents():
    page = (ROOT / "docs" / "settings.md").read_text()
    config = read(PROMETHEUS / "prometheus.yml")
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "pat-service"
    assert (
        job["static_configs"][0]["targets"][0]
        in page.partition("## PAT_METRICS_ADDRESS")[2].partition("## ")[0]
    )
    assert all((PROMETHEUS / Path(file)).exists() for file in config["rule_files"])


def test_the_older_names_are_documented_with_those_that_have_no_equal():
    page = (ROOT / "docs" / "monitoring.md").read_text()
    table = page.partition("## Older names")[2].partition("\n## ")[0]
    here = {re.sub(r"_(bucket|sum|count)$", "", name) for name in recorded("clarity-names.yml")}
    equal, _, none = table.partition("No equal")
    assert set(re.findall(r"`(clarity_\w+)", equal)) == here
    assert not set(re.findall(r"`(clarity_\w+)", none)) & here


def test_every_older_name_is_recorded_or_said_to_have_no_equal():
    facts = shared("facts/lessons.md").read_text().partition("## 11.")[2].partition("| Alert |")[0]
    table = (ROOT / "docs" / "monitoring.md").read_text().partition("## Older names")[2].partition("\n## ")[0]
    older = set(re.findall(r"\b(?:\w+_)+(?:total|seconds|ratio|info|count|bytes|score)\b", facts))
    assert len(older) > 20
    assert {name for name in older if name.removeprefix("clarity_") not in table} == set()
