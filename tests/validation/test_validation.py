"""The comparison itself: that it counts right, misses what is wrong, and holds on the reference material."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from preprocessing.wear import WearMode
from tests.shared import shared
from validation.__main__ import CHECKS, main
from validation.comparison import Agreement, Check, compared
from validation.oracles import Oracles, number
from validation.table import as_json, as_markdown


def check(found, expected=(1.0, 2.0, 0.0), **settings) -> Check:
    def pairs(_, mode):
        ours = found if mode is WearMode.AS_RECORDED else [math.nan] * len(expected)
        return np.array(expected), np.array(ours)

    return Check("a metric", "an oracle", "one day", pairs, **settings)


def row(*arguments, tmp_path, **settings):
    return compared(check(*arguments, **settings), Oracles(tmp_path))


def test_exact_near_and_absent_values_are_counted_apart():
    found = Agreement.of(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.05, np.nan]), 0.1, relative=False)
    assert (found.n, found.exact, found.within, found.absent) == (3, 1, 2, 1)
    assert found.largest == pytest.approx(0.05)


def test_a_relative_tolerance_is_a_share_of_the_expected_value_and_absolute_at_zero():
    found = Agreement.of(np.array([1000.0, 0.0]), np.array([1001.0, 0.0005]), 1e-3, relative=True)
    assert found.within == 2


def test_a_check_without_values_or_of_different_lengths_proves_nothing(tmp_path):
    assert not row([], expected=(), tmp_path=tmp_path).holds
    with pytest.raises(ValueError, match="known values"):
        row([1.0], tmp_path=tmp_path)


def test_one_value_outside_the_tolerance_is_a_miss_unless_it_is_allowed(tmp_path):
    assert row([1.0, 2.0, 0.0], tmp_path=tmp_path).holds
    assert not row([1.0, 2.1, 0.0], tmp_path=tmp_path).holds
    assert not row([1.0, math.nan, 0.0], tmp_path=tmp_path).holds
    assert row([1.0, 2.1, 0.0], tmp_path=tmp_path, misses=1).holds


def test_the_table_names_what_is_missed_and_prints_the_default_beside_it(tmp_path):
    rows = [row([1.0, 2.0, 0.0], tmp_path=tmp_path), row([1.0, 2.1, 0.0], tmp_path=tmp_path, masks=False)]
    page = as_markdown(rows, "2026-01-01")
    assert "Missed: a metric." in page
    assert "| a metric | an oracle | 3 | 3 | 3 | 0 | 0 | 0 of 3, 3 | one day |" in page
    document = json.loads(as_json(rows, "2026-01-01"), parse_constant=pytest.fail)
    assert [one["holds"] for one in document["rows"]] == [True, False]
    assert document["rows"][0]["default_masking"]["largest_difference"] is None
    assert {"pipeline", "python", "numpy"} <= set(document["versions"])


def test_without_the_reference_material_it_says_so_and_writes_nothing(tmp_path, capsys):
    results = tmp_path / "results"
    assert main(["--shared", str(tmp_path), "--results", str(results)]) == 2
    assert "Nothing compared: no reference material" in capsys.readouterr().out
    assert not results.exists()


def test_a_missed_tolerance_ends_with_one(tmp_path, monkeypatch):
    (tmp_path / "data" / "clinical").mkdir(parents=True)
    monkeypatch.setattr("validation.__main__.CHECKS", (check([1.0, 2.1, 0.0]),))
    assert main(["--shared", str(tmp_path), "--results", str(tmp_path), "--date", "2026-01-01"]) == 1
    assert "Missed" in (tmp_path / "2026-01-01.md").read_text()


def test_numbers_are_read_as_vendors_print_them():
    assert (number("531,5"), number("89.78")) == (531.5, 89.78)


@pytest.mark.parametrize("one", CHECKS, ids=lambda one: f"{one.metric} / {one.oracle}")
def test_every_check_holds_as_recorded(one):
    assert compared(one, Oracles(shared("data/clinical"))).holds
