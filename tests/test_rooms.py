"""What import-linter cannot see: the faces' own imports, lazy packages, and pins that must agree."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib

import pytest

from tests.shared import ROOT

ROOMS = [
    "api",
    "cohorts",
    "commands",
    "models",
    "pat_runner",
    "postprocessing",
    "preprocessing",
    "serving",
    "training",
    "validation",
]
FACE_MAY_IMPORT = {
    "service.py": {"api", "models", "pat_runner", "postprocessing", "serving"},
    "cli.py": {"cohorts", "commands", "models", "pat_runner", "postprocessing", "preprocessing", "serving"},
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("face", FACE_MAY_IMPORT)
def test_a_face_imports_only_the_rooms_it_shows(face):
    assert set(imported(ROOT / face)) & set(ROOMS) <= FACE_MAY_IMPORT[face]


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_a_face(room):
    for path in (ROOT / room).rglob("*.py"):
        assert not {"service", "cli"} & set(imported(path)), path


@pytest.mark.parametrize("room", ROOMS)
def test_every_package_has_a_table_of_contents(room):
    for path in (ROOT / room).rglob("__init__.py"):
        module = ast.parse(path.read_text())
        assert ast.get_docstring(module), path
        assert any(
            isinstance(n, ast.Assign) and n.targets[0].id == "__all__"
            for n in module.body
            if isinstance(n, ast.Assign)
        ), path


def loads(statement):
    code = f"import sys; {statement}; print(' '.join(sorted(m for m in sys.modules if '.' not in m)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_middle_and_the_api_load_no_torch():
    rooms = "api.app, api.desk, models.checkpoint, models.store, pat_runner.pipeline, pat_runner.hop"
    assert "torch" not in loads(f"import {rooms}")


def test_the_command_starts_without_heavy_imports():
    assert not {"torch", "bentoml", "numpy", "fhir"} & loads("import cli; cli._parser()")


def test_the_pins_agree_with_the_declared_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text() + (ROOT / "constraints-dev.txt").read_text()
    pinned = dict(line.partition(";")[0].split("==") for line in lines.splitlines())
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = [re.split(r"[=<>;\[ ]", item)[0].replace("_", "-").replace(".", "-").lower() for item in declared]
    assert set(names) <= {name.replace("_", "-").replace(".", "-").lower() for name in pinned}
    assert pinned["torch"] == "2.13.0"
    for name in ("bentoml", "fhir-resources", "torch"):
        assert importlib.metadata.version(name).split("+")[0] == pinned[name]


def test_no_ignore_rule_hides_a_room():
    rooms = [f"{room}/__init__.py" for room in ROOMS]
    command = ["git", "check-ignore", "--no-index", *rooms, "models/weights/pat-s-demo/checkpoint.json"]
    ignored = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ignored.stdout == ""
