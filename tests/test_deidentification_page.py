"""What docs/deidentification.md says leaves and stays is what the tables in the code say."""

from postprocessing.buckets import BUCKETS
from postprocessing.cohort import GROUPINGS, LEAST_K, K
from postprocessing.deidentify import ALLOWED, DROPPED, Why
from postprocessing.metrics import METRICS
from postprocessing.wording import claims
from tests.shared import ROOT

PAGE = (ROOT / "docs" / "deidentification.md").read_text()


def rows(heading):
    section = PAGE.split(f"## {heading}\n")[1]
    parts = (part.strip() for part in section.split("\n\n"))
    lines = next(part for part in parts if part.startswith("|")).splitlines()
    return [tuple(cell.strip().strip("`") for cell in line.strip("|").split(" | ")) for line in lines[2:]]


def test_the_table_of_what_leaves_is_the_allow_list():
    assert rows("What leaves") == [(field, rule.words.strip("`")) for field, rule in ALLOWED.items()]


def test_the_table_of_what_does_not_is_the_rest():
    assert rows("What does not") == [(field, why.value) for field, why in DROPPED.items()]
    for why in Why:
        assert f"`{why.value}`:" in PAGE


def test_the_table_of_steps_is_that_of_the_code():
    expected = [
        (code.value, METRICS[code].unit or "the level's", bucket.words) for code, bucket in BUCKETS.items()
    ]
    assert rows("Steps") == expected


def test_the_bounds_that_are_named_are_those_of_the_code():
    assert f"{K} by default" in PAGE
    assert f"; {LEAST_K} at least" in PAGE
    most = max(
        (bucket.most - bucket.least) / bucket.step
        for code, bucket in BUCKETS.items()
        if bucket.step and METRICS[code].kind != "clock_time"
    )
    assert f"at most {round(most) + 1} a metric" in PAGE
    for name in GROUPINGS:
        assert name.replace("_", " ") in PAGE


def test_the_two_findings_are_cited_and_nothing_is_promised():
    assert "JAMA Netw Open 1(8):e186040" in PAGE
    assert "WristPrint, ACM CCS" in PAGE
    assert "expert" in PAGE
    assert "compliant" not in PAGE.lower()
    assert claims(PAGE) == ()
