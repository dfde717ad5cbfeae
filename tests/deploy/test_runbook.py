"""docs/runbook.md has a section for each alert, and says of its threshold what the rule says."""

import math
import re

import pytest

from tests.deploy.tools import alerts
from tests.shared import ROOT

DOCS = ROOT / "docs"
PAGE = (DOCS / "runbook.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL))
COMPARISON = r"([<>]=?|==) ([\d.]+(?: \* [\d.]+)*)"


def compared(text):
    """Every comparison with a number in ``text``."""
    found = re.findall(COMPARISON, text)
    return {(sign, round(math.prod(map(float, number.split(" * "))), 9)) for sign, number in found}


def anchors(page):
    """The anchors of a page, as GitHub makes them of its headings."""
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_is_a_section_for_each_alert_in_the_same_order():
    assert list(SECTIONS) == list(alerts())


def test_every_alert_links_to_a_heading_that_is_there():
    for alert, rule in alerts().items():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/runbook.md"
        assert anchor == alert.lower()
        assert anchor in anchors(PAGE)


@pytest.mark.parametrize("alert", alerts())
def test_a_section_says_how_bad_when_and_beyond_what(alert):
    rule = alerts()[alert]
    first = SECTIONS[alert].splitlines()[0]
    when = f"after {rule['for']}" if "for" in rule else "at once"
    assert first.startswith(f"{rule['labels']['severity']}, {when}: ")
    said = {found for code in re.findall(r"`([^`]+)`", first) for found in compared(code)}
    asked = re.sub(r'"[^"]*"', "", rule["expr"])
    assert said == compared(asked)


def test_what_the_page_refers_to_is_there():
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        page, _, anchor = target.partition("#")
        assert (DOCS / page).exists(), target
        assert not anchor or anchor in anchors((DOCS / page).read_text()), target


def test_the_page_names_only_alerts_that_there_are():
    assert set(re.findall(r"\bPat[A-Z]\w+", PAGE)) <= set(alerts())
