"""The table of docs/container.md, made from benchmarks/results/image.json."""

from __future__ import annotations

import re
from typing import Any

from benchmarks import results_file
from tests.shared import ROOT

PAGE = ROOT / "docs" / "container.md"
_BLOCK = re.compile(r"(<!-- results: image -->\n).*?(<!-- end -->)", re.DOTALL)
_COLUMNS = {
    "size": "{megabytes:.0f} MB",
    "ready": "{ready_seconds:.1f} s",
    "stop": "{stop_seconds:.1f} s",
    "memory": "{peak_megabytes:.0f} MB",
    "rebuild": "{rebuild_seconds:.0f} s",
}


def write(measured: dict[str, dict[str, float]]) -> None:
    """Write what was measured, and the table from it."""
    results_file.write("image", "make image-test", measured)
    PAGE.write_text(filled(PAGE.read_text()))


def filled(page: str) -> str:
    """Return ``page`` with its table as the results say."""
    document = results_file.read("image")
    assert document is not None
    lines = [f"{document['date']}, {document['processor']}, {document['cores']} cores:", ""]
    lines += [f"| image | {' | '.join(_COLUMNS)} |", "|---" * (len(_COLUMNS) + 1) + "|"]
    lines += [_row(image, numbers) for image, numbers in document["measured"].items()]
    table = "\n".join(lines)
    return _BLOCK.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page)


def _row(image: str, numbers: dict[str, Any]) -> str:
    cells = [column.format(**numbers) for column in _COLUMNS.values()]
    return f"| `{image}` | {' | '.join(cells)} |"
