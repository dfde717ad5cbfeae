"""A run: the service's own numbers, every recording once whatever ends in between, one plan to a folder."""

import asyncio
import fcntl
import json
import os
import re
import stat
from dataclasses import asdict

import numpy as np
import pytest

from cohorts import work
from cohorts.plan import Choices, plan_of
from cohorts.progress import Progress
from cohorts.recordings import COLUMNS, CohortRunRefused, input_of
from cohorts.run import MANIFEST, in_this_process, run
from cohorts.tables import TABLES, schemas
from commands.encoders import local
from pat_runner.account import AnalyzeOptions
from pat_runner.pipeline import analyze
from postprocessing.metrics import METRICS
from preprocessing.readers import canonical_json, read
from preprocessing.readers.hints import hints_of
from preprocessing.wear import WearMode
from tests.cohorts.inputs import contents, folder, people, rows_of, table, written
from tests.shared import ROOT

N = 7


@pytest.fixture(scope="module")
def card():
    return local(None)[1]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = folder(tmp_path_factory.mktemp("cohort") / "in", N)
    (root / "notes.txt").write_text("no recording")
    (root / "public.csv").write_text("timestamp,date,activity\n2003-05-07 12:00:00,2003-05-07,143\n")
    return root


@pytest.fixture
def planned(card, source, tmp_path):
    def planned(output="out", path=source, options=None, **choices):
        texts = choices.pop("hints", {})
        chosen = Choices(
            options or AnalyzeOptions(), hints_of(texts), texts, choices.pop("per_file", 2), **choices
        )
        return plan_of(input_of(path), chosen, card, tmp_path / output)

    return planned


class Silence:
    def write(self, _):
        return None

    def flush(self):
        return None

    def isatty(self):
        return False


def done(plan, engine=in_this_process):
    return run(plan, engine, Progress(len(plan.items), Silence()))


def stopping_after(parts):
    """An engine that is killed after some parts."""

    def engine(plan, todo):
        yield from in_this_process(plan, todo[:parts])
        raise KeyboardInterrupt

    return engine


def never(plan, todo):
    raise AssertionError(f"nothing is left to do, and yet {todo} is")


def test_every_recording_is_analysed_or_set_aside_with_its_reason(planned, tmp_path):
    counts = done(planned())
    assert counts == {
        "analysed": N,
        "weeks": N,
        "embedded": N,
        "set_aside": {"unknown_format": 1, "unknown_unit": 1},
    }
    aside = rows_of(tmp_path / "out", "set-aside")
    assert [(row["id"], row["code"]) for row in aside] == [
        ("notes.txt", "unknown_format"),
        ("public.csv", "unknown_unit"),
    ]
    assert "143" not in aside[1]["message"]


async def test_the_numbers_are_those_of_the_service(planned, source, tmp_path):
    options = AnalyzeOptions(intervals=True)
    runner, card = local(None)
    plan = planned(options=options)
    await asyncio.to_thread(done, plan)
    metrics, weeks = rows_of(tmp_path / "out", "metrics"), rows_of(tmp_path / "out", "weeks")
    about = {row["id"]: row for row in rows_of(tmp_path / "out", "recordings")}
    for path in sorted(source.glob("canary*")):
        alone = await analyze(read(path), options, runner, card)
        row = about[path.name]
        assert row["input_sha256"] == alone.provenance.input_sha256
        assert row["flags"] == list(alone.quality.flags)
        assert row["valid_days"] == alone.quality.valid_days
        assert row["start"] == alone.recording.start.isoformat()
        told = [*alone.sleep.metrics, *alone.rhythm.metrics, *alone.activity.metrics]
        found = [row for row in metrics if row["id"] == path.name]
        assert [(row["code"], row["value"], row["unit"]) for row in found] == [
            (one.code, one.value, one.unit) for one in told
        ]
        assert [row["low"] for row in found] == [one.interval and one.interval.low for one in told]
        assert [row["absent"] for row in found] == [one.absent and one.absent.reason for one in told]
        (week,) = [row for row in weeks if row["id"] == path.name]
        np.testing.assert_array_equal(
            np.float32(week["embedding"]), np.float32(alone.weeks[0].embedding), strict=True
        )
        assert week["start"] == alone.weeks[0].start.isoformat()
    assert {row["code"] for row in metrics} <= set(METRICS)


@pytest.mark.parametrize("parts", [0, 1, 3])
def test_a_run_that_was_ended_goes_on_to_the_same_bytes(planned, tmp_path, parts):
    done(planned("straight"))
    with pytest.raises(KeyboardInterrupt):
        done(planned("ended"), stopping_after(parts))
    assert len(list((tmp_path / "ended").glob("metrics-*"))) == parts
    asked = []
    done(planned("ended"), lambda plan, todo: (asked.extend(todo), in_this_process(plan, todo))[1])
    assert asked == list(range(parts, 5))
    assert contents(tmp_path / "ended") == contents(tmp_path / "straight")


def test_a_run_that_is_done_does_nothing_again(planned, tmp_path):
    counts = done(planned())
    before = contents(tmp_path / "out")
    assert done(planned(), never) == counts
    assert contents(tmp_path / "out") == before


def test_a_part_written_in_half_is_done_again(planned, tmp_path):
    done(planned())
    before = contents(tmp_path / "out")
    first, second = sorted((tmp_path / "out").glob("weeks-*"))[:2]
    first.unlink()
    second.write_bytes(second.read_bytes()[:-20])
    (tmp_path / "out" / ".writing-0123").write_bytes(b"PAR1")
    done(planned())
    assert contents(tmp_path / "out") == before


def test_a_file_that_somebody_changed_is_refused(planned, tmp_path):
    done(planned())
    first, second = sorted((tmp_path / "out").glob("weeks-*"))[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(CohortRunRefused, match="1 files are not those"):
        done(planned())


def test_a_file_of_another_part_is_noticed_before_the_first_end(planned, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        done(planned(), stopping_after(5))
    first, second = sorted((tmp_path / "out").glob("recordings-*"))[3:5]
    first.write_bytes(second.read_bytes())
    with pytest.raises(CohortRunRefused, match="every recording once"):
        done(planned())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": AnalyzeOptions(stride_days=1)}, "other options"),
        ({"per_file": 3}, "per_file"),
        ({"hints": {"zone": "Europe/Oslo"}}, "other hints"),
    ],
)
def test_a_folder_of_a_run_with_other_choices_is_refused(planned, changes, said):
    done(planned())
    with pytest.raises(CohortRunRefused, match=said):
        done(planned(**changes))


def test_a_folder_of_a_run_over_another_input_or_model_is_refused(planned, card, tmp_path):
    done(planned())
    with pytest.raises(CohortRunRefused, match="other input"):
        done(planned(path=folder(tmp_path / "more", 2)))
    plan = planned()
    other = type(card)(**{**vars(card), "sha256": "0" * 64})
    with pytest.raises(CohortRunRefused, match="model"):
        done(plan_of(plan.source, plan.choices, other, plan.output))


def test_a_folder_of_anything_else_is_refused_and_left_alone(planned, tmp_path):
    (tmp_path / "out").mkdir(mode=0o755)
    (tmp_path / "out" / "thesis.docx").write_bytes(b"mine")
    with pytest.raises(CohortRunRefused, match="new or empty folder"):
        done(planned())
    assert contents(tmp_path / "out") == {"thesis.docx": b"mine"}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o755
    (tmp_path / "out" / MANIFEST).write_text("no JSON")
    with pytest.raises(CohortRunRefused, match="manifest"):
        done(planned())


def test_a_folder_in_which_another_run_writes_is_refused(planned, tmp_path):
    (tmp_path / "out").mkdir()
    held = os.open(tmp_path / "out" / ".lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(CohortRunRefused, match="another run"):
        done(planned())
    os.close(held)


@pytest.mark.security
def test_what_is_written_is_the_users_alone(planned, tmp_path):
    (tmp_path / "out").mkdir(mode=0o777)
    done(planned())
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == {0o600}


@pytest.mark.security
def test_with_codes_no_name_is_written(planned, source, tmp_path):
    names = [item.id for item in input_of(source).items]
    (tmp_path / "codes.csv").write_text(
        "file,code\n" + "".join(f"{name},P{k:02d}\n" for k, name in enumerate(names))
    )
    done(planned(codes=tmp_path / "codes.csv"))
    assert {row["id"] for row in rows_of(tmp_path / "out", "recordings")} == {f"P{k:02d}" for k in range(N)}
    assert [row["id"] for row in rows_of(tmp_path / "out", "set-aside")] == ["P07", "P08"]
    rows = [row for kind in TABLES for row in rows_of(tmp_path / "out", kind)]
    manifest = (tmp_path / "out" / MANIFEST).read_text()
    assert "canary" not in json.dumps(rows) + manifest
    assert json.loads(manifest)["ids"] == "codes"


def test_the_manifest_says_what_decides_the_output(planned, tmp_path, card):
    done(planned())
    said = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert said["model"]["sha256"] == card.sha256
    assert said["options"]["stride_days"] == 7
    assert said["input"]["recordings"] == N + 2
    assert {"numpy", "scipy", "pyarrow"} <= set(said["versions"])
    assert len(said["files"]) == 4 * len(said["parts"]) == 20
    assert "canary" not in json.dumps(said)


def test_rows_of_a_parquet_file_are_a_cohort_as_well(planned, tmp_path, source):
    path = written(tmp_path / "in.parquet", table(people(5)), rows=3)
    assert done(planned(path=path))["embedded"] == 5
    found = [row["embedding"] for row in rows_of(tmp_path / "out", "weeks")]
    done(planned("files"))
    files = {row["id"]: row["embedding"] for row in rows_of(tmp_path / "files", "weeks")}
    assert found[0] == files["canary-000.json"]
    assert found[1] == files["canary-001.csv"]


def test_bytes_depend_on_no_group_in_memory(planned, tmp_path, monkeypatch):
    done(planned("together", per_file=50))
    monkeypatch.setattr(work, "GROUP_EPOCHS", 1)
    done(planned("apart", per_file=50))
    assert contents(tmp_path / "together") == contents(tmp_path / "apart")


def test_options_that_do_not_fit_a_recording_set_it_aside(planned):
    counts = done(planned(options=AnalyzeOptions(wear=WearMode("choi2011"))))
    assert counts["analysed"] == 0
    assert counts["set_aside"]["invalid_field"] == N


def test_a_week_without_an_embedding_says_why(planned, tmp_path):
    (tmp_path / "holed").mkdir()
    (made,) = people(1)
    made.values[2000:8000] = np.nan
    (tmp_path / "holed" / "a.json").write_text(canonical_json.dumps(made))
    (tmp_path / "holed" / "b.json").write_text(canonical_json.dumps(people(1, days=3)[0]))
    assert done(planned(path=tmp_path / "holed"))["embedded"] == 0
    (week,) = rows_of(tmp_path / "out", "weeks")
    assert (week["embedding"], week["absent"]) == (None, "too_much_missing")
    assert rows_of(tmp_path / "out", "recordings")[1]["weeks_absent"] == "insufficient_data"


@pytest.mark.parametrize("error", [ZeroDivisionError("of 5512"), PermissionError(13, "denied", "canary")])
def test_a_fault_in_one_recording_sets_it_aside_without_its_words(planned, tmp_path, monkeypatch, error):
    def failing(reading):
        def read_or_fail():
            if "canary-003" in str(reading.args[0]):
                raise error
            return reading()

        return read_or_fail

    as_it_is = work._read
    monkeypatch.setattr(work, "_read", lambda reading: as_it_is(failing(reading)))
    counts = done(planned())
    assert counts["analysed"] == N - 1
    (row,) = [row for row in rows_of(tmp_path / "out", "set-aside") if row["id"] == "canary-003.json"]
    assert row["code"] == (work.UNREADABLE if isinstance(error, OSError) else work.FAILED)
    assert type(error).__name__ in row["message"]
    assert "5512" not in row["message"]


def test_want_of_memory_is_no_fault_of_a_recording(planned, monkeypatch):
    def without_memory():
        raise MemoryError

    as_it_is = work._read
    monkeypatch.setattr(work, "_read", lambda _: as_it_is(without_memory))
    with pytest.raises(MemoryError):
        done(planned())


def test_the_table_of_options_is_complete(planned, tmp_path):
    done(planned())
    said = json.loads((tmp_path / "out" / MANIFEST).read_text())["options"]
    assert set(asdict(AnalyzeOptions())) - set(said) == {"sleep_log", "profile", "series"}


def test_the_page_names_every_column_and_every_file():
    page = (ROOT / "docs" / "cohorts.md").read_text()
    for kind, schema in schemas().items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{kind}-*.parquet`"))
        told = set(re.findall(r"`(\w+)`", row))
        counts = {name for name in schema.names if name.endswith(("_samples", "_epochs"))} - told
        assert set(schema.names) - counts == told
        assert len(counts) == (6 if kind == "recordings" else 0)


def test_the_page_names_every_column_of_an_input():
    page = (ROOT / "docs" / "cohorts.md").read_text().split("## Input")[1].split("## Output")[0]
    named = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(named))) == set(COLUMNS)
