"""Numbers, dates and codes in words, and shapes as paths."""

import numpy as np
import pytest

from postprocessing.html import svg, words
from postprocessing.html.markup import Markup, element, joined
from preprocessing.recording import Flag
from preprocessing.units import Unit
from preprocessing.wear import WRIST_ZERO_MINUTES, WearMode


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"),
        (0.04567, "0.0457"),
        (0.5, "0.500"),
        (7.123, "7.12"),
        (99.44, "99.4"),
        (123.6, "124"),
        (12345.6, "12,346"),
    ],
)
def test_amounts_have_three_digits(number, said):
    assert words.amount(number) == said


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0, "0 min"), (3.456, "3.46 min"), (59, "59 min"), (60, "1 h 00 min"), (431.6, "7 h 12 min")],
)
def test_minutes_become_hours(minutes, said):
    assert words.duration(minutes) == said


@pytest.mark.parametrize("flag", [*Flag, "hip_worn"])
def test_every_flag_has_a_sentence(flag):
    assert words.flag_words(flag).endswith(".")


def test_every_wear_rule_and_unit_has_words():
    rules = ["device_flags", "not_assessable", f"wrist_zero_run_{WRIST_ZERO_MINUTES}"]
    rules += [mode.value for mode in WearMode if mode is not WearMode.DETECT]
    for rule in rules:
        assert words.wear_rule_words(rule) != rule
    for unit in Unit:
        assert words.quantity_words(unit) != unit.value or unit is Unit.STEPS
        assert not words.unit_words(unit.ucum_per_minute).startswith("{")
        assert not words.unit_words(unit.ucum_per_day).startswith("{")


def test_an_unknown_code_is_named():
    assert words.flag_words("new_flag") == "new_flag"
    assert words.wear_rule_words("new_rule") == "new_rule"
    assert words.unit_words("{x}/d") == "{x}/d"


def test_only_markup_goes_in_unescaped():
    assert element("p", "a < b", class_='x"y') == '<p class="x&quot;y">a &lt; b</p>'
    assert joined([Markup("<b>"), "<b>"]) == "<b>&lt;b&gt;"
    assert element("path", d="M0 0") == '<path d="M0 0"/>'
    assert element("td") == "<td></td>"


def test_a_path_steps_over_its_heights_and_leaves_gaps():
    heights = np.array([0, 2, 2, np.nan, 1.25, 3])
    assert svg.steps(heights, 1) == "M1 0V-2H3V0M4 0V-1.2H5V-3H6V0"
    assert svg.steps(np.zeros(3), 1) == ""


@pytest.mark.parametrize(
    ("number", "top"), [(0, 1), (0.9, 1), (1, 1), (1.1, 1.2), (8.1, 10), (1008, 1200), (47, 50)]
)
def test_an_axis_ends_at_a_number_that_reads_well(number, top):
    assert svg.nice_ceiling(number) == pytest.approx(top)
