"""A table over people shows nobody: small cells are empty, and cannot be had back from the others."""

import json
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postprocessing.cohort import LEAST_K, K, cohort
from postprocessing.cohort import CohortRefused as Refused
from postprocessing.deidentified import DeidentifiedAnalysis, DeidentifiedMetric, DeidentifiedPerson
from postprocessing.deidentify import age_band, deidentified
from postprocessing.metrics import METRICS, MetricCode
from tests.postprocessing.factory import Case, analysis

pytestmark = pytest.mark.security
BASE = deidentified(analysis(Case(pat=False, days=3)))
BARE = BASE.model_copy(
    update={
        name: getattr(BASE, name).model_copy(update={"metrics": ()})
        for name in ("sleep", "rhythm", "activity")
    }
)
CODES = [f"{number:032x}" for number in range(400)]


def metric(code, value):
    info = METRICS[code]
    absent = None if value is not None else {"reason": "insufficient_data"}
    return DeidentifiedMetric(
        code=code, kind=info.kind, value=value, unit="1", algorithm="one", absent=absent
    )


def document(number, sex="female", age=44, **values):
    """The document of one person, in which ``mid_sleep=3.0`` and so on are the only numbers."""
    band = None if age is None else age_band(age)
    person = DeidentifiedPerson(code=CODES[number], sex=sex, age_band=band)
    made = tuple(metric(MetricCode(code), value) for code, value in values.items())
    return BARE.model_copy(
        update={"person": person, "rhythm": BARE.rhythm.model_copy(update={"metrics": made})}
    )


def group(size, first=0, sex="female", **values):
    """``size`` people whose numbers go up from the given ones."""
    return [
        document(first + i, sex, **{code: start + i for code, start in values.items()}) for i in range(size)
    ]


def cells(table):
    return {(tuple(cell.group.values()), cell.code.value): cell for cell in table.cells}


def test_a_cell_of_eleven_is_shown_and_one_of_ten_is_not():
    for size, withheld in ((11, None), (10, "suppressed")):
        [cell] = cohort(group(size, total_sleep_time=300)).cells
        assert cell.withheld == withheld
        assert (cell.mean is None) == (cell.people is None) == (cell.sd is None) == (cell.quartiles is None)
        assert (cell.mean is None) == (size == 10)
    assert K == 11


def test_what_is_shown_is_the_statistic_of_the_people():
    values = 300 + np.arange(20)
    [cell] = cohort(group(20, total_sleep_time=300)).cells
    assert (cell.people, cell.code, cell.algorithm) == (20, MetricCode.TOTAL_SLEEP_TIME, "one")
    assert cell.mean == float(f"{values.mean():.3g}")
    assert cell.sd == float(f"{values.std(ddof=1):.3g}")
    assert cell.quartiles == tuple(float(f"{q:.3g}") for q in np.quantile(values, (0.25, 0.5, 0.75)))
    assert cell.group == {"unit": "actiwatch_counts"}


def test_clock_times_go_round_at_midnight():
    people = [document(number, mid_sleep=(23 + number / 10) % 24) for number in range(21)]
    [cell] = cohort(people).cells
    assert cell.mean == 0
    assert cell.quartiles == (23.5, 0, 0.5)
    assert cell.sd == pytest.approx(np.arange(21).std(ddof=1) / 10, rel=0.01)


def test_clock_times_all_around_the_clock_have_no_middle():
    people = [document(number, mid_sleep=float(number)) for number in range(24)]
    [cell] = cohort(people).cells
    assert (cell.withheld, cell.mean) == ("not_unique", None)


def test_a_small_group_takes_the_next_larger_along_so_that_a_total_gives_neither():
    people = [*group(3, sex="male", m10=1), *group(12, 20, "female", m10=1), *group(30, 40, "other", m10=1)]
    found = cells(cohort(people, ["sex"]))
    withheld = {key[0][1]: cell.withheld for key, cell in found.items()}
    assert withheld == {"male": "suppressed", "female": "suppressed", "other": None}


def test_small_groups_that_hide_each_other_leave_the_large_ones_alone():
    people = [*group(6, sex="male", m10=1), *group(7, 20, "female", m10=1), *group(30, 40, "other", m10=1)]
    found = cells(cohort(people, ["sex"]))
    assert [cell.withheld for cell in found.values()].count(None) == 1


def test_a_group_that_is_hidden_is_hidden_for_every_metric():
    people = [*group(3, sex="male", m10=1, l5=1), *group(12, 20, "female", m10=1, l5=1)]
    people += group(30, 40, "other", m10=1)  # of which fewer have l5
    people += [document(80 + i, "other", m10=1.0 + i, l5=1.0 + i) for i in range(11)]
    found = cells(cohort(people, ["sex"]))
    for code in ("m10", "l5"):
        assert found[("actiwatch_counts", "male"), code].withheld == "suppressed"
        assert found[("actiwatch_counts", "female"), code].withheld == "suppressed"
        assert found[("actiwatch_counts", "other"), code].withheld is None


def test_people_are_counted_in_fives_so_that_no_difference_is_exact():
    assert [cohort(group(size, m10=1)).cells[0].people for size in (11, 14, 15, 19, 20)] == [
        11,
        11,
        15,
        15,
        20,
    ]


def test_a_person_with_many_documents_is_one_person():
    one = [document(0, m10=float(value)) for value in range(50)]
    assert cohort(one).cells[0].withheld == "suppressed"
    [cell] = cohort([*one, *group(11, 1, m10=100)]).cells
    assert cell.people == 11
    assert cell.mean == float(f"{np.mean([24.5, *range(100, 111)]):.3g}")


def test_the_same_document_under_two_codes_is_one_person():
    twice = [*group(10, m10=1), *group(10, 100, m10=1)]
    assert {cell.withheld for cell in cohort(twice).cells} == {"suppressed"}


def test_units_and_algorithms_are_never_put_together():
    steps = BARE.recording.model_copy(update={"unit": "steps"})
    people = group(11, m10=1) + [
        one.model_copy(update={"recording": steps}) for one in group(11, 50, m10=900)
    ]
    found = cohort(people).cells
    assert [(cell.group["unit"], cell.mean) for cell in found] == [
        ("actiwatch_counts", 6.0),
        ("steps", 905.0),
    ]


def test_what_is_not_stated_is_a_group_of_its_own():
    table = cohort(
        [document(number, None, None, m10=1.0 * number) for number in range(12)], ["sex", "age_band"]
    )
    assert table.cells[0].group == {
        "unit": "actiwatch_counts", "sex": "not stated", "age_band": "not stated",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("documents", "by", "k", "said"),
    [
        (group(12, m10=1), ("zip",), 11, "expected groups by"),
        (group(12, m10=1), (), LEAST_K - 1, "expected k of at least 5"),
        (group(12, m10=1), (), 0, "expected k"),
        ([BASE], (), 11, "expected a code"),
    ],
)
def test_a_table_that_must_not_be_made_is_refused(documents, by, k, said):
    with pytest.raises(Refused, match=said):
        cohort(documents, by, k)


NUMBERS = st.one_of(st.none(), st.integers(0, 40).map(float))
PEOPLE = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.sampled_from(["female", "male", "other", None]),
        st.integers(0, 99),
        NUMBERS,
        NUMBERS,
    ),
    max_size=120,
)


def drawn(people):
    return [document(who, sex, age, m10=m10, mid_sleep=at and at % 24) for who, sex, age, m10, at in people]


@settings(deadline=None, max_examples=60)
@given(PEOPLE, st.sampled_from([(), ("sex",), ("sex", "age_band")]), st.integers(LEAST_K, 15))
def test_no_table_shows_or_gives_away_a_small_cell(people, by, k):
    documents = drawn(people)
    table = cohort(documents, by, k)
    sizes, rows = defaultdict(set), defaultdict(list)
    for one in documents:
        shared = {"unit": one.recording.unit, "sex": one.person.sex, "age_band": one.person.age_band}
        key = tuple(shared[name] or "not stated" for name in table.by)
        for number in one.rhythm.metrics:
            if number.value is not None:
                sizes[key, number.code].add(one.person.code)
    for cell in table.cells:
        size = len(sizes[tuple(cell.group.values()), cell.code])
        if cell.withheld is None:
            assert size >= k
            assert k <= cell.people <= size
        else:
            assert {cell.people, cell.mean, cell.sd, cell.quartiles} == {None}
        rows[cell.code].append((size, cell))
    for row in rows.values():
        hidden = [size for size, cell in row if cell.withheld == "suppressed"]
        if hidden and len(hidden) < len(row):  # a total gives neither one cell nor a small sum
            assert len(hidden) > 1
            assert sum(hidden) >= k


@settings(deadline=None, max_examples=30)
@given(PEOPLE, st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_changes_a_table(people, chance):
    documents = drawn(people)
    again = [*documents, *documents[:20]]
    chance.shuffle(again)
    assert cohort(again, ["sex"]) == cohort(documents, ["sex"])


def test_no_code_and_no_extreme_of_a_person_is_in_the_table():
    people = group(30, total_sleep_time=300)
    people.append(document(99, total_sleep_time=839.0))
    text = cohort(people, ["sex", "age_band", "wear_site"]).model_dump_json()
    assert not any(one.person.code in text for one in people)
    assert "839" not in text
    assert json.loads(text)["schema"] == "pat-cohort/1"


def test_the_documents_of_the_tests_are_documents():
    text = document(1, m10=1.0).model_dump_json()
    assert DeidentifiedAnalysis.model_validate_json(text).person.code == CODES[1]
