"""The dashboard of deploy/grafana: every panel asks for what is there, in words that Prometheus parses."""

import itertools
import json
import re

from tests.deploy.exported import TARGETS, exported, names, strange_labels
from tests.deploy.tools import DEPLOY, read, recorded, records, run

GRAFANA = DEPLOY / "grafana"
BOARD = json.loads((GRAFANA / "pat-service.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
ROWS = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]


def panel_queries():
    """Every panel with each of its queries, in which the variables are filled in as Grafana does."""
    return [(panel, filled(target["expr"])) for panel in PANELS for target in panel["targets"]]


def queries():
    """Every query of the dashboard."""
    notes = [filled(note["expr"]) for note in BOARD["annotations"]["list"]]
    return [query for _, query in panel_queries()] + notes


def filled(query):
    return query.replace("$__rate_interval", "1m").replace("$instance", ".*")


def titled(panel):
    return f"{panel['id']} {panel['title']}"


def test_prometheus_parses_every_query(tmp_path):
    assert len(queries()) > len(PANELS)
    assert not [query for query in queries() if "$" in query]
    (tmp_path / "panels.yml").write_text(records(queries()))
    done = run("promtool", "check", "rules", tmp_path / "panels.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_query_that_is_none_is_found(tmp_path):
    (tmp_path / "panels.yml").write_text(
        records([*queries(), "sum by (le rate(pat_batch_weeks_bucket[1m]))"])
    )
    assert run("promtool", "check", "rules", tmp_path / "panels.yml").returncode == 1


def test_every_panel_asks_for_what_our_code_tells():
    for panel, query in panel_queries():
        assert names(query) or re.search(r"\bup\b|\bALERTS\b", query), titled(panel)
        assert names(query) <= {*exported(), *recorded()}, titled(panel)
        assert strange_labels(query) == [], titled(panel)


def test_every_legend_names_labels_that_the_query_leaves():
    for panel in PANELS:
        for target in panel["targets"]:
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert wanted <= left(target["expr"]), titled(panel)


def left(query):
    """The labels that the outermost aggregation of a query leaves, or else all of its metric's."""
    grouped = re.findall(r"\b(?:sum|max|count)(?: by \(([^)]*)\))?\s*\(", query)
    if grouped:
        return {label.strip() for label in grouped[0].split(",")}
    known = {label for name in names(query) & exported().keys() for label in exported()[name].labels}
    return known | TARGETS


def test_every_panel_has_a_title_a_unit_and_the_chosen_data_source():
    for panel in PANELS:
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], titled(panel)
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, titled(panel)
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"]), titled(panel)
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references), titled(panel)


def test_ids_are_unique_and_panels_do_not_overlap():
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for one, other in itertools.combinations([panel["gridPos"] for panel in BOARD["panels"]], 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart or above, (one, other)
    assert all(
        at["x"] >= 0 and at["x"] + at["w"] <= 24 for at in (panel["gridPos"] for panel in BOARD["panels"])
    )


def test_the_rows_go_from_traffic_to_process():
    assert ROWS == [
        "Traffic",
        "Latency",
        "Errors",
        "Runner, batches, queue",
        "Cache",
        "Model and integrity",
        "Safeguards",
        "Dependencies",
        "Data quality and drift",
        "Deliveries, jobs, deletions",
        "Process",
    ]


def test_data_source_and_instances_can_be_chosen():
    kinds = {variable["name"]: variable["type"] for variable in BOARD["templating"]["list"]}
    assert kinds == {"datasource": "datasource", "instance": "query"}
    for panel in PANELS:
        for target in panel["targets"]:
            whole = "job:pat_" in target["expr"] or "ALERTS" in target["expr"]
            assert whole or 'instance=~"$instance"' in target["expr"], titled(panel)


def test_grafana_is_told_where_to_ask_and_what_to_show():
    (source,) = read(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert source["type"] == "prometheus"
    assert (
        source["jsonData"]["timeInterval"]
        == read(DEPLOY / "prometheus" / "prometheus.yml")["global"]["scrape_interval"]
    )
    (provider,) = read(GRAFANA / "provisioning" / "dashboards" / "pat-service.yml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"].startswith("/")
