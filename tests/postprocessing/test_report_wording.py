"""No text of the service claims more than numbers from movement allow."""

import pytest

from postprocessing.absence import Reason, absent
from postprocessing.analysis import STATEMENT
from postprocessing.explanation import MEANING
from postprocessing.metrics import METRICS
from postprocessing.report import page
from postprocessing.wording import LIMITS, RESEARCH_SCORE, claims
from tests.postprocessing.factory import CASES
from tests.postprocessing.test_report import made, read
from tests.shared import ROOT

PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]


@pytest.mark.parametrize(
    "text",
    [
        "The report diagnoses insomnia.",
        "It detects depression.",
        "predicts a disorder",
        "An accurate total sleep time.",
        "a screening tool for depression",
        "clinically validated",
        "medical-grade",
        "verified against polysomnography",
        "Your sleep shows an abnormal rhythm.",
        f"{STATEMENT} It is a diagnosis.",
    ],
)
def test_a_claim_is_found(text):
    assert claims(text)


@pytest.mark.parametrize(
    "text",
    [
        STATEMENT,
        "PAT is not a screening tool.",
        "Nothing here was verified against polysomnography.",
        "A Bundle holds a DiagnosticReport.",
        "Non-wear is detected by rule.",
    ],
)
def test_what_denies_a_claim_is_none(text):
    assert claims(text) == ()


def test_the_statement_itself_is_the_exception():
    assert claims(STATEMENT.replace("not a diagnosis", "a diagnosis")) == ("diagnosis",)


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_report_claims_nothing(name):
    assert claims(read(page(*made(name))).text) == ()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_documentation_claims_nothing(path):
    assert claims(path.read_text()) == ()


def test_definitions_reasons_and_standing_sentences_claim_nothing():
    definitions = [f"{info.label}. {info.definition}" for info in METRICS.values()]
    reasons = [absent(reason).detail for reason in Reason]
    for text in [*definitions, *reasons, *LIMITS, RESEARCH_SCORE, MEANING]:
        assert claims(text) == (), text
