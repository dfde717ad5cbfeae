"""`pat deidentify` and `pat cohort`: files to files, and no name of a file or a person goes on."""

import json

import pytest

import cli
from postprocessing.deidentified import SCHEMA
from tests.postprocessing.factory import Case, analysis

pytestmark = pytest.mark.security
NAMES = [f"anna-canary-{number}.json" for number in range(12)]


@pytest.fixture
def files(tmp_path):
    """Twelve analyses, called by names, of people who differ."""
    (tmp_path / "in").mkdir()
    for number, name in enumerate(NAMES):
        made = analysis(Case(days=7))
        first, *others = made.rhythm.metrics
        rhythm = made.rhythm.model_copy(
            update={"metrics": (first.model_copy(update={"value": number / 12}), *others)}
        )
        (tmp_path / "in" / name).write_text(made.model_copy(update={"rhythm": rhythm}).model_dump_json())
    return [str(tmp_path / "in" / name) for name in NAMES]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def table(tmp_path, rows):
    path = tmp_path / "people.csv"
    path.write_text("\n".join(["file,person,age,sex", *rows]))
    return ["--people", str(path)]


def run(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def documents(out):
    return {path.name: json.loads(path.read_text()) for path in sorted(out.iterdir())}


def test_documents_are_called_by_their_codes_and_by_nothing_else(capsys, files, out):
    assert run(capsys, "deidentify", *files, "-o", out) == (0, "", "")
    made = documents(out)
    assert len(made) == 12
    assert {document["schema"] for document in made.values()} == {SCHEMA}
    assert list(made) == [f"{document['person']['code']}-1.json" for document in made.values()]
    assert not any("canary" in path.name or "canary" in path.read_text() for path in out.iterdir())


def test_who_is_who_comes_from_a_table_and_stays_there(capsys, files, out, tmp_path):
    people = table(
        tmp_path, [f"{name},person-{number // 2},{88 + number},female" for number, name in enumerate(NAMES)]
    )
    assert run(capsys, "deidentify", *files, "-o", out, *people)[0] == 0
    made = list(documents(out).values())
    assert len({document["person"]["code"] for document in made}) == 6
    assert {document["person"]["age_band"] for document in made} == {"80-89", "90+"}
    assert not any("person-" in path.read_text() for path in out.iterdir())
    assert {path.name.rpartition("-")[2] for path in out.iterdir()} == {"1.json", "2.json"}


def test_another_run_gives_other_codes_and_wants_another_folder(capsys, files, out, tmp_path):
    run(capsys, "deidentify", *files, "-o", out)
    status, _, err = run(capsys, "deidentify", *files, "-o", out)
    assert (status, "new or empty folder" in err) == (1, True)
    run(capsys, "deidentify", *files, "-o", tmp_path / "again")
    assert not documents(out).keys() & documents(tmp_path / "again").keys()


def test_a_cohort_shows_what_has_enough_people(capsys, files, out, tmp_path):
    sexes = ["female"] * 11 + ["male"]
    people = table(tmp_path, [f"{name},{name},44,{sex}" for name, sex in zip(NAMES, sexes, strict=True)])
    run(capsys, "deidentify", *files, "-o", out, *people)
    status, text, _ = run(capsys, "cohort", *sorted(out.iterdir()), "--k", 5)
    [cell] = [cell for cell in json.loads(text)["cells"] if cell["code"] == "interdaily_stability"]
    assert (status, cell["people"], cell["withheld"]) == (0, 10, None)
    status, text, _ = run(capsys, "cohort", *sorted(out.iterdir()), "--by", "sex,age_band")
    made = json.loads(text)
    assert (status, made["by"], made["k"]) == (0, ["unit", "sex", "age_band"], 11)
    assert {cell["withheld"] for cell in made["cells"]} == {"suppressed"}  # one man, and those who hide him
    target = tmp_path / "cohort.json"
    assert run(capsys, "cohort", *sorted(out.iterdir()), "--output", target) == (0, "", "")
    assert json.loads(target.read_text())["schema"] == "pat-cohort/1"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a.json,p,1,female"], "expected a line for it"),
        (["a.json,,1,female"], "expected the columns"),
        (["a.json,p,1"], "expected the columns"),
        (["a.json,p,1,female,80331"], "expected the columns"),
        (["a.json,p,1,female", "a.json,q,1,female"], "expected each file once"),
        (["anna-canary-0.json,p,canary,female"], "expected ages in years"),
        (["anna-canary-0.json,p,131,female"], "expected ages in years"),
        (["anna-canary-0.json,p,1,canary"], "expected a sex"),
    ],
)
def test_a_table_of_people_that_does_not_fit_is_refused_and_nothing_is_written(
    capsys, files, out, tmp_path, rows, said
):
    status, printed, err = run(capsys, "deidentify", files[0], "-o", out, *table(tmp_path, rows))
    assert (status, printed) == (1, "")
    assert said in err
    assert not out.exists()
    assert "canary," not in err


@pytest.mark.parametrize("content", [b"file,person,age,sex\n\xff", b'file,person,age,sex\n"a"b,p,1,female'])
def test_a_table_that_is_none_is_refused(capsys, files, out, tmp_path, content):
    (tmp_path / "people.csv").write_bytes(content)
    status, _, err = run(capsys, "deidentify", files[0], "-o", out, "--people", tmp_path / "people.csv")
    assert (status, "expected a CSV table in UTF-8" in err) == (1, True)


def test_age_and_sex_may_be_left_out_of_the_table(capsys, files, out, tmp_path):
    assert run(capsys, "deidentify", files[0], "-o", out, *table(tmp_path, [f"{NAMES[0]},p,,"]))[0] == 0
    [made] = documents(out).values()
    assert (made["person"]["age_band"], made["person"]["sex"]) == (None, None)


def test_what_is_no_analysis_is_refused_without_its_content(capsys, files, out, tmp_path):
    other = tmp_path / "other.json"
    for text in ("{", '{"schema": "pat-analysis/2"}', '{"schema": "pat-analysis/1", "recording": "secret"}'):
        other.write_text(text)
        status, _, err = run(capsys, "deidentify", other, "-o", out)
        assert (status, "expected a document of pat-analysis/1" in err, "secret" in err) == (1, True, False)
        assert run(capsys, "cohort", other)[0] == 1
    assert run(capsys, "deidentify", tmp_path / "none.json", "-o", out)[0] == 1
    assert run(capsys, "deidentify", files[0], files[0], "-o", out)[0] == 1


@pytest.mark.parametrize("arguments", [["--k", "4"], ["--by", "zip"]])
def test_a_question_about_too_few_is_refused(capsys, files, out, arguments):
    run(capsys, "deidentify", *files, "-o", out)
    status, text, err = run(capsys, "cohort", *sorted(out.iterdir()), *arguments)
    assert (status, text) == (1, "")
    assert err.startswith("pat: expected")
