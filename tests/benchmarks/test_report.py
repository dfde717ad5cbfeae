"""The benchmark page says what the results files say, and the floor counts the right work."""

import re

import pytest

from benchmarks import report, results_file
from benchmarks.peak import flop
from models.config import CONFIGS


def test_every_table_of_the_page_is_made_from_the_results_files():
    page = report.PAGE.read_text()
    assert report.filled(page) == page
    assert set(re.findall(r"<!-- results: (\w+) -->", page)) == set(report._TABLES)


def test_every_part_was_measured_and_says_where_when_and_how():
    for part in report._TABLES:
        document = results_file.read(part)
        assert document is not None, part
        assert document["command"] == f"python -m benchmarks {part.removesuffix('_avx2')}"
        assert document["processor"]
        assert document["date"].endswith("UTC")
        assert re.fullmatch(r"[0-9a-f]{7,}\+?", document["commit"])


def test_results_name_no_path_of_a_machine():
    for part in report._TABLES:
        assert not re.search(r"/(work|home|root|tmp|Users)/", str(results_file.read(part)))


@pytest.mark.parametrize(("size", "gflop"), [("PAT-S", 0.903), ("PAT-M", 3.498), ("PAT-L", 25.55)])
def test_the_work_of_a_week_is_that_of_the_folded_form(size, gflop):
    assert flop(CONFIGS[size]) / 1e9 == pytest.approx(gflop, rel=1e-3)


def test_the_pictures_of_the_page_are_there():
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", report.PAGE.read_text()):
        assert (report.PAGE.parent / picture).exists(), picture
