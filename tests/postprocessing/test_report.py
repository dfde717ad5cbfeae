"""The report: one page, complete in itself, with what the Analysis says and nothing else."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pytest

from postprocessing.absence import Reason, absent
from postprocessing.analysis import STATEMENT, Activity, Analysis, Interval
from postprocessing.html import actogram
from postprocessing.metrics import METRICS, codes_of
from postprocessing.report import CONTENT_POLICY, page
from preprocessing.calendar import zone_of
from preprocessing.recording import Flag
from preprocessing.units import Unit
from tests.postprocessing import factory

EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>&amp;'
VOID = {"meta", "br", "path", "rect", "line", "use"}


class Reader(HTMLParser):
    """Follows the page as a browser would, and fails on elements that are not closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.ids, self.attributes, self.words = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in VOID, tag
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def read(html):
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def made(name="week", **changes):
    """An Analysis of the factory, with every section present, and its recording."""
    case = factory.CASES[name]
    found = factory.analysis(case)
    level = case.unit.ucum_per_minute
    volume = tuple(factory.metric(code, case, level) for code in codes_of("activity"))
    activity = Activity(valid_days=5, cut_points="made up (Author 1990)", metrics=volume)
    return found.model_copy(update={"activity": activity, **changes}), factory.recording(case)


def with_recording(found, **changes):
    return found.model_copy(update={"recording": found.recording.model_copy(update=changes)})


@pytest.mark.parametrize("name", sorted(factory.CASES))
def test_every_case_gives_a_page_that_is_well_formed_small_and_the_same_again(name):
    html = page(*made(name))
    reader = read(html)
    assert html == page(*made(name))
    assert len(html.encode()) < 1_000_000
    assert len(reader.ids) == len(set(reader.ids))
    assert STATEMENT in reader.text
    assert not re.search(r"\b(nan|inf|None)\b", html)


@pytest.mark.parametrize("name", ["week", "profile", "spring"])
def test_a_page_asks_no_host_and_runs_no_script(name):
    html = page(*made(name))
    reader = read(html)
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & set(reader.tags)
    assert not re.search(r"https?:|//|@import|url\((?!#)", html.replace("<!DOCTYPE", ""))
    policy = ("meta", "content", CONTENT_POLICY)
    assert policy in reader.attributes
    assert "default-src 'none'" in CONTENT_POLICY
    assert all(value.startswith("#") for _, name, value in reader.attributes if name == "href")
    assert not [name for _, name, _ in reader.attributes if name.startswith("on") or name == "style"]


def test_every_reference_within_the_page_has_its_target():
    reader = read(page(*made("profile")))
    named = {value[1:] for _, name, value in reader.attributes if name == "href"}
    announced = {
        part for _, name, value in reader.attributes if name == "aria-labelledby" for part in value.split()
    }
    assert named
    assert named | announced <= set(reader.ids)


def test_pictures_and_tables_can_be_read_aloud():
    html = page(*made("profile"))
    reader = read(html)
    assert ("html", "lang", "en") in reader.attributes
    assert reader.tags.count("svg") == reader.tags.count("desc") == 3
    assert reader.tags.count("title") == 4
    assert reader.tags.count("table") == reader.tags.count("caption") == reader.tags.count("thead")
    assert reader.tags.count("th") == len(
        [1 for tag, name, _ in reader.attributes if (tag, name) == ("th", "scope")]
    )


def test_markup_in_what_a_file_says_comes_out_as_text():
    found, recording = made("prediction")
    quality = found.quality.model_copy(update={"flags": (EVIL,), "wear_rule": EVIL})
    metric = found.rhythm.metrics[0].model_copy(update={"algorithm": EVIL, "parameters": {EVIL: EVIL}})
    rhythm = found.rhythm.model_copy(update={"metrics": (metric,), "flags": (EVIL,)})
    sleep = found.sleep.model_copy(update={"scorer": EVIL, "rest_period": EVIL})
    activity = found.activity.model_copy(update={"cut_points": EVIL})
    model = found.provenance.model.model_copy(update={"source": EVIL, "checkpoint": EVIL, "engine": EVIL})
    provenance = found.provenance.model_copy(update={"model": model})
    head = found.weeks[0].predictions[0].model_copy(update={"head": EVIL, "evidence": EVIL})
    week = found.weeks[0].model_copy(update={"predictions": (head,)})
    parts = {"sleep": sleep, "rhythm": rhythm, "activity": activity, "provenance": provenance}
    evil = found.model_copy(update={**parts, "quality": quality, "weeks": (week,), "statement": EVIL})
    evil = with_recording(
        evil, device=EVIL, source_format=EVIL, wear_site=EVIL, unit=EVIL, sources={EVIL: 1.0}
    )
    reader = read(page(evil, recording))
    assert not {"script", "img"} & set(reader.tags)
    assert reader.text.count('<script>alert("1")</script>') >= 15


def test_neither_serial_nor_subject_stands_in_the_page():
    found, recording = made("week")
    assert recording.serial == "V123456"
    assert "V123456" not in page(found, recording)


def test_an_absent_number_says_why():
    found, recording = made("all_absent")
    text = read(page(found, recording)).text
    assert "absent: too_much_missing . Too much of the time needed was not recorded or not worn." in text
    assert "PAT read no week: insufficient_data" in text


def test_every_metric_of_every_section_stands_in_the_page():
    text = read(page(*made("week"))).text
    for info in METRICS.values():
        assert info.label in text, info.label


def test_an_interval_stands_beside_its_value():
    found, recording = made("week")
    metric = found.sleep.metrics[0]
    spread = Interval(
        low=400, high=431.2, level=0.95, resamples=2000, units=6, method="bootstrap over nights"
    )
    sleep = found.sleep.model_copy(update={"metrics": (metric.model_copy(update={"interval": spread}),)})
    text = read(page(found.model_copy(update={"sleep": sleep}), recording)).text
    assert "6 h 40 min to 7 h 11 min" in text
    assert "central 95% of 2,000 resamples of 6 nights or days (bootstrap over nights)" in text


def test_the_clock_change_is_said_in_words_and_marked():
    text = read(page(*made("spring"))).text
    assert "On Sunday 29 March 2026 the clock skipped the time from 02:00 to 03:00." in text
    assert text.count("clock +1 h") == 1
    case = replace(factory.CASES["autumn"], days=14)
    found = factory.analysis(case)
    found = found.model_copy(update={"activity": made()[0].activity})
    text = read(page(found, factory.recording(case))).text
    assert "On Sunday 1 November 2026 the clock showed twice the time from 01:00 to 02:00." in text


def test_a_recording_of_months_shows_the_first_sixty_days_and_says_so():
    case = replace(factory.CASES["month"], days=400, profile=True)
    found = factory.analysis(case).model_copy(update={"activity": made()[0].activity})
    html = page(found, factory.recording(case))
    text = read(html).text
    assert len(html.encode()) < 1_000_000
    assert "The first 60 of 400 days are drawn" in text
    assert "The first 100 of 399 nights are listed." in text
    assert "The first 8 of 57 weeks are drawn." in text


def test_days_are_numbered_where_the_file_knows_no_dates():
    found, recording = made("wall_clock")
    flags = (Flag.DATE_UNKNOWN.value, Flag.TIMEZONE_UNKNOWN.value)
    found = found.model_copy(update={"quality": found.quality.model_copy(update={"flags": flags})})
    text = read(page(found, recording)).text
    assert "Monday, day 1" in text
    assert "2026" not in text.replace("arXiv", "")


def test_a_fixed_offset_is_named_as_one():
    assert "clock of UTC+05:30" in read(page(*made("enmo"))).text


def test_the_attention_says_that_it_attributes_nothing():
    text = read(page(*made("profile"))).text
    assert "it is not an attribution of any prediction" in text
    assert "attention" not in read(page(*made("week"))).ids


def test_a_prediction_stands_with_its_evidence_and_is_called_a_research_score():
    text = read(page(*made("prediction"))).text
    assert "Research score, not a diagnosis" in text
    assert factory.PREDICTION.evidence in text


def test_an_analysis_of_another_recording_is_refused():
    found, recording = made("week")
    with pytest.raises(ValueError, match="found another"):
        page(found, replace(recording, start=recording.start + timedelta(days=1)))


def test_bins_tell_worn_from_not_worn_not_recorded_and_outside():
    recording = replace(factory.recording(factory.CASES["week"]), start=datetime(2026, 1, 5, 0, 7), zone=None)
    worn = recording.recorded.copy()
    worn[400:520] = False
    days = actogram.Days.of(recording, worn)
    assert days.kinds[0, 0] == actogram.OUTSIDE
    assert days.kinds[0, 1] == actogram.WORN
    assert days.kinds[0, 30] == actogram.GAP  # 02:30, epochs 143 to 147
    assert days.kinds[0, 90] == actogram.OFF  # 07:30, epochs 443 to 447
    assert np.isnan(days.levels[0, [0, 30, 90]]).all()
    assert days.levels[0, 200] == pytest.approx(recording.values[993:998].mean())


def test_epochs_of_an_hour_fill_their_bins_and_rates_stay_rates():
    start = datetime(2026, 1, 5, tzinfo=zone_of("Etc/UTC"))
    base = replace(factory.recording(factory.CASES["week"]), start=start, zone="Etc/UTC", epoch_seconds=3600)
    counts = replace(base, values=np.full(24, 600.0))
    assert (actogram.Days.of(counts, counts.recorded).levels == 10).all()
    enmo = replace(base, values=np.full(24, 30.0), unit=Unit.ENMO_MG)
    assert (actogram.Days.of(enmo, enmo.recorded).levels == 30).all()


def test_a_still_recording_has_no_bars_and_a_missing_one_no_mean_day():
    found, recording = made("no_pat")
    still = replace(recording, values=np.zeros(recording.epochs))
    assert "No movement was recorded, so there are no bars." in read(page(found, still)).text
    gone = replace(recording, values=np.full(recording.epochs, np.nan))
    assert "there is no mean day" in read(page(found, gone)).text


def test_a_recording_of_one_epoch_is_drawn():
    found, recording = made("no_pat")
    one = replace(recording, values=np.array([7.0]))
    found = with_recording(found, epochs=1, end=one.end)
    why = absent(Reason.INSUFFICIENT_DATA)
    sleep = found.sleep.model_copy(update={"nights": (), "scorer": None, "absent": why})
    text = read(page(found.model_copy(update={"sleep": sleep}), one)).text
    assert "1 min in epochs of 60 s" in text
    assert "Sleep was not scored. absent: insufficient_data" in text


def test_a_document_that_was_written_and_read_again_gives_the_same_page():
    found, recording = made("spring")
    again = Analysis.model_validate_json(found.model_dump_json())
    assert page(again, recording) == page(found, recording)
