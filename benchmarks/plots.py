"""Pictures of the results, as SVG beside docs/benchmarks.md; only matplotlib draws here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import results_file

__all__ = ["draw"]

OURS, OTHERS = "#1f6f8b", "#b9b9b9"


def draw(folder: Path) -> None:
    """Draw what there are results of: the encoder against its peers, and growth by tokens."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update(
        {"svg.hashsalt": "pat", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    folder.mkdir(exist_ok=True)
    if encoder := results_file.read("encoder1"):
        _encoder(encoder["measured"], folder / "encoder.svg")
    if load := results_file.read("load"):
        _load(load["measured"], folder / "load.svg")
    if growth := results_file.read("growth"):
        _growth(growth["measured"], folder / "growth.svg")


def _encoder(cells: list[dict[str, Any]], path: Path) -> None:
    """Bars of CPU time per week, one week and one thread, a panel per size; the floor is a line."""
    import matplotlib.pyplot as plt

    chosen = [cell for cell in cells if cell["threads"] == 1 and "cpu_ms" in cell]
    chosen = [cell for cell in chosen if not cell["name"].endswith("profile")]
    sizes = list(dict.fromkeys(cell["size"] for cell in chosen))
    figure, panels = plt.subplots(1, len(sizes), figsize=(10, 3.2), squeeze=False)
    for panel, size in zip(panels[0], sizes, strict=True):
        of_size = sorted((cell for cell in chosen if cell["size"] == size), key=lambda cell: -cell["cpu_ms"])
        names, times = [cell["name"] for cell in of_size], [cell["cpu_ms"] for cell in of_size]
        panel.barh(names, times, color=[OURS if name.startswith("pat ") else OTHERS for name in names])
        if floors := [floor for cell in of_size for floor in cell["floors_ms"]]:
            panel.axvline(sorted(floors)[len(floors) // 2], color="black", linewidth=1, linestyle=":")
        panel.set_title(size)
        panel.set_xlabel("CPU ms per week; dotted: floor")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _load(measured: dict[str, Any], path: Path) -> None:
    """Latency of what was answered by load: a line from the median to 99 of 100; simulated in grey."""
    import matplotlib.pyplot as plt

    twice = measured["arrivals"][-1]
    rows = [("one caller", measured["alone"]["latency_ms"], None)]
    rows += [
        (f"{one['share']:.0%}", one["latency_ms"], one["simulated_ms"]) for one in measured["arrivals"][:-1]
    ]
    rows += [("200%, admitted", twice["latency_ms"], None), ("200%, refused", twice["refused_ms"], None)]
    figure, panel = plt.subplots(figsize=(6, 2.8))
    for place, (_, found, expected) in enumerate(rows):
        for shift, values, colour in ((0.0, found, OURS), (0.25, expected, OTHERS)):
            if values:
                ends = [values["p50"], values["p99"]]
                panel.plot(ends, [place + shift] * 2, marker="o", color=colour)
    panel.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    panel.invert_yaxis()
    panel.set(xscale="log", xlabel="ms from when it was due: median and 99 of 100; grey: simulated")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _growth(cells: list[dict[str, Any]], path: Path) -> None:
    """Lines of CPU time by tokens, both axes logarithmic."""
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(6, 3.6))
    for name in dict.fromkeys(cell["name"] for cell in cells):
        points = sorted((cell["tokens"], cell["cpu_ms"]) for cell in cells if cell["name"] == name)
        ours = name.startswith("pat ")
        panel.plot(*zip(*points, strict=True), marker="o", label=name, linewidth=2 if ours else 1)
    panel.set(xscale="log", yscale="log", xlabel="tokens", ylabel="CPU ms, PAT-L, one week, one thread")
    panel.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
