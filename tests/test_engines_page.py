"""docs/engines.md tells the truth: the names, the bounds, and code that runs."""

import re

import numpy as np

from models.checkpoint import save_folded
from models.golden import panel_weeks
from models.pat import reference
from pat_runner.engines import BF16, ENGINES, FLOAT32
from tests.models.keras_files import checkpoint
from tests.shared import ROOT

PAGE = (ROOT / "docs" / "engines.md").read_text()


def test_every_engine_has_a_row():
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.M)) == set(ENGINES)


def test_the_bounds_are_those_of_the_code():
    rows = dict(re.findall(r"^\| (fp32|bf16) \| (.*) \|$", PAGE, flags=re.M))
    for name, bound in (("fp32", FLOAT32), ("bf16", BF16)):
        assert [float(cell) for cell in rows[name].split(" | ")] == list(vars(bound).values())


def test_the_graph_is_used_as_the_page_says(tmp_path):
    own = checkpoint(tmp_path)
    save_folded(own, tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    names = {"folder": tmp_path, "patch": own.config.patch}
    exec(
        code.replace("np.zeros((2, 10_080), np.float32)", "weeks"),
        {**names, "weeks": panel_weeks()[:2]},
        names,
    )
    assert np.abs(names["pooled"] - reference(own, panel_weeks()[:2]).pooled).max() < 2e-5
    assert names["tokens"].shape == (2, 560, 96)
