"""`pat cohort run`: what it says, how it ends, and what it refuses before it writes."""

import importlib.util
import io
import os
import subprocess
import sys

import pytest

import cli
from cohorts.progress import Progress
from commands.cohort_run import INTERRUPTED, SET_ASIDE
from tests.cohorts.inputs import contents, folder, people, table, written
from tests.e2e.server import DEMO
from tests.shared import ROOT


@pytest.fixture(scope="module", autouse=True)
def demonstration_weights():
    assert cli.main(["weights", "import", str(DEMO)]) == 0


@pytest.fixture
def source(tmp_path):
    return folder(tmp_path / "in", 3)


def run(capsys, *arguments):
    status = cli.main(["cohort", "run", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_folder_is_analysed_and_the_progress_goes_to_standard_error(capsys, source, tmp_path):
    status, out, err = run(capsys, "--input", source, "--output", tmp_path / "out", "--per-file", 1)
    assert (status, out) == (0, "3 recordings analysed, 3 of 3 weeks embedded\n")
    assert err.splitlines()[0] == "pat: 0 of 3 recordings"
    assert err.splitlines()[-1].startswith("pat: 3 of 3 recordings, 0 set aside, ")
    assert "canary" not in out + err


def test_one_that_is_set_aside_is_told_by_the_exit_status(capsys, source, tmp_path):
    (source / "canary.txt").write_text("nothing")
    status, out, err = run(capsys, "--input", source, "--output", tmp_path / "out")
    assert status == SET_ASIDE == 3
    assert "1 set aside: unknown_format" in out
    assert "canary" not in out + err
    again, *_ = run(capsys, "--input", source, "--output", tmp_path / "out")
    assert again == SET_ASIDE


def test_hints_and_options_are_those_of_analyze(capsys, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes((ROOT / "examples" / "public-cohort.csv").read_bytes())
    given = ["--unit", "actiwatch_counts", "--zone", "Europe/Oslo", "--no-clinical", "--stride-days", "1"]
    status, out, _ = run(capsys, "--input", tmp_path / "in", "--output", tmp_path / "out", *given)
    assert (status, out) == (0, "1 recordings analysed, 1 of 1 weeks embedded\n")


def test_a_parquet_file_is_an_input(capsys, tmp_path):
    path = written(tmp_path / "in.parquet", table(people(3)))
    status, out, _ = run(capsys, "--input", path, "--output", tmp_path / "out")
    assert (status, out) == (0, "3 recordings analysed, 3 of 3 weeks embedded\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "in/out"], "apart from the input"),
        (["--output", "."], "apart from the input"),
        (["--output", "out", "--workers", "2"], "--engine ray"),
        (["--output", "out", "--unit", "furlongs"], "expected unit"),
        (["--output", "out", "--weights", "nothing:1"], "pat weights"),
        (["--output", "out", "--codes", "none.csv"], "No such file"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    capsys, source, tmp_path, monkeypatch, arguments, said
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    status, out, err = run(capsys, "--input", source, *arguments)
    assert (status, out) == (1, "")
    assert said in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "arguments", [["--workers", "0"], ["--per-file", "none"], ["--engine", "spark"], ["more"]]
)
def test_wrong_usage_ends_with_2(source, tmp_path, arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["cohort", "run", "--input", str(source), "--output", str(tmp_path / "out"), *arguments])
    assert ended.value.code == 2


@pytest.mark.parametrize(("package", "engine"), [("pyarrow", "local"), ("ray", "ray")])
def test_without_the_extra_it_says_how_to_get_it(capsys, source, tmp_path, monkeypatch, package, engine):
    as_it_is = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *given: None if name == package else as_it_is(name, *given)
    )
    status, _, err = run(capsys, "--input", source, "--output", tmp_path / "out", "--engine", engine)
    assert status == 1
    assert "pip install 'pat-service[cohort]'" in err


def test_one_who_interrupts_is_told_how_to_go_on(capsys, source, tmp_path, monkeypatch):
    given = ["--input", source, "--output", tmp_path / "out", "--per-file", 1]
    with monkeypatch.context() as patched:
        patched.setattr(Progress, "add", interrupt)
        status, _, err = run(capsys, *given)
    assert status == INTERRUPTED
    assert "run again to go on" in err
    assert run(capsys, *given)[:2] == (0, "3 recordings analysed, 3 of 3 weeks embedded\n")


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_killed_process_leaves_only_whole_files_and_the_next_goes_on(source, tmp_path):
    command = [sys.executable, "-c", "import sys, cli; sys.exit(cli.main())", "cohort", "run"]
    command += ["--input", str(source), "--per-file", "1", "--output"]
    killed = subprocess.Popen(
        [*command, str(tmp_path / "killed")],
        cwd=ROOT,
        env=dict(os.environ),
        stderr=subprocess.PIPE,
        text=True,
    )
    with killed:
        while (line := killed.stderr.readline()) and "1 of 3" not in line:
            pass
        killed.kill()
    for output in ("killed", "straight"):
        subprocess.run([*command, str(tmp_path / output)], cwd=ROOT, check=True, capture_output=True)
    assert contents(tmp_path / "killed") == contents(tmp_path / "straight")


def test_the_table_over_documents_is_still_there(capsys, tmp_path):
    assert cli.main(["cohort", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_the_progress_is_one_line():
    screen = Terminal()
    progress = Progress(4, screen)
    progress.begin(2)
    progress.add(1, 1)
    progress.add(1, 0)
    progress.end()
    assert screen.getvalue().count("\n") == 1
    assert screen.getvalue().split("\r")[-1].startswith(f"[{'#' * 30}] 4 of 4 recordings, 1 set aside, ")


def test_a_log_gets_a_line_for_each_tenth():
    log = io.StringIO()
    progress = Progress(1000, log)
    progress.begin(0)
    for _ in range(1000):
        progress.add(1, 0)
    assert len(log.getvalue().splitlines()) == 11
