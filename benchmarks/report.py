"""The results as tables and plots of docs/benchmarks.md, between the marks that name them.

    python -m benchmarks.report

What ends in ``_avx2`` was measured on another machine, and is kept beside what the last one measured.

Plots need the extra ``bench``; without it the tables are written and the plots stay as they are.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import plots, results_file
from benchmarks.encoder import BATCHES

__all__ = ["PAGE", "filled", "main"]

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_BLOCK = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
Document = dict[str, Any]


def main() -> None:
    """Write the tables into the page, and the plots beside it."""
    PAGE.write_text(filled(PAGE.read_text()))
    if importlib.util.find_spec("matplotlib"):
        plots.draw(PAGE.parent / "benchmarks")


def filled(page: str) -> str:
    """Return ``page`` with every marked block made from the results files."""

    def block(match: re.Match[str]) -> str:
        made = _TABLES[match[2]]()
        return f"{match[1]}{made}\n{match[3]}"

    return _BLOCK.sub(block, page)


def _circumstances(document: Document) -> str:
    told = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    has = ", ".join(document["features"]) or "none of avx2 and its kin"
    when = f"{document['date']}, commit {document['commit']}"
    where = f"{document['processor']}, {document['cores']} cores, {has}"
    note = f". {document['note']}" if "note" in document else ""
    return f"{when}; {where}; {told}; `{document['command']}`{note}"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(header)
    lines = [head, ["---"] * len(head), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _measured(part: str, make: Callable[[Any], str]) -> str:
    document = results_file.read(part)
    if document is None:
        return "Not measured yet."
    return f"{_circumstances(document)}\n\n{make(document['measured'])}"


def _encoder(part: str) -> str:
    return _measured(part, _of_batch)


def _of_batch(cells: list[Document]) -> str:
    """Contenders by sizes: CPU ms per week, times floor, wall ms on two threads."""
    sizes = list(dict.fromkeys(cell["size"] for cell in cells))
    header = ["contender"]
    for size in sizes:
        header += [f"{size} CPU ms (floors)", "2 threads, wall ms"]
    rows = []
    for name in dict.fromkeys(cell["name"] for cell in cells if not cell["failed"]):
        row = [name]
        for size in sizes:
            one, two = (_find(cells, name, size, threads) for threads in (1, 2))
            row += [_cpu(one), f"{two['wall_ms']:.1f}" if two and "wall_ms" in two else ""]
        rows.append(row)
    memory = ", ".join(f"{name} {peak:.0f}" for name, peak in _memory(cells, sizes[-1]).items())
    return f"{_table(header, rows)}\n\nPeak memory with {sizes[-1]}, MB: {memory}."


def _find(cells: list[Document], name: str, size: str, threads: int) -> Document | None:
    wanted = (name, size, threads)
    return next((c for c in cells if (c["name"], c["size"], c["threads"]) == wanted), None)


def _cpu(cell: Document | None) -> str:
    if cell is None or "cpu_ms" not in cell:
        return ""
    floors = f" ({cell['times_floor']:.2f})" if "times_floor" in cell else ""
    return f"{cell['cpu_ms']:.1f}{floors}"


def _memory(cells: list[Document], size: str) -> dict[str, float]:
    return {
        cell["name"]: cell["peak_rss_mb"]
        for cell in cells
        if cell["size"] == size and cell["threads"] == 1 and cell["peak_rss_mb"]
    }


def _service(part: str) -> str:
    def make(measured: Document) -> str:
        header = (
            "server",
            "body",
            "at once",
            "weeks / s",
            "server CPU ms",
            "engine's share",
            "median ms",
            "over engine",
        )
        rows = [
            (
                cell["server"],
                cell["body"],
                str(cell["concurrency"]),
                f"{cell['weeks_per_second']:.1f}",
                f"{cell['cpu_ms']:.1f}",
                f"{cell['engine_share']:.0%}",
                f"{cell['latency_ms']:.1f}",
                f"{cell['over_engine_ms']:.1f}" if cell["concurrency"] == 1 else "",
            )
            for cell in measured["cells"]
        ]
        lone = measured["lone_after_burst"]
        said = (
            f"A lone request takes {lone['undisturbed_ms']:.1f} ms undisturbed, and "
            f"{lone['extra_ms']:+.1f} ms a second after 300 at 16."
        )
        return f"{measured['size']}, one week a request.\n\n{_table(header, rows)}\n\n{said}"

    return _measured(part, make)


def _safeguards() -> str:
    def make(cells: list[Document]) -> str:
        header = ("door", "without, ms", "cost with a known token, ms", "with a token never seen, ms")
        rows = [
            (
                cell["door"],
                f"{cell['median_ms']['without']:.1f}",
                f"{cell['cost_ms']['known token']:+.1f}",
                f"{cell['cost_ms']['new token']:+.1f}",
            )
            for cell in cells
        ]
        return _table(header, rows)

    return _measured("safeguards", make)


def _tracing() -> str:
    def make(cells: list[Document]) -> str:
        header = ("door", "requests/s", "traced", "traced : not", "CPU ms per request", "traced")
        rows = [
            (
                cell["door"],
                f"{cell['rate']:.0f}",
                f"{cell['rate_traced']:.0f}",
                f"{cell['rate_ratio']:.2f}",
                f"{cell['cpu_ms']:.1f}",
                f"{cell['cpu_ms_traced']:.1f}",
            )
            for cell in cells
        ]
        return _table(header, rows)

    return _measured("tracing", make)


def _fhir() -> str:
    def make(measured: Document) -> str:
        header = ("/analyze, ms", "/fhir/$analyze, ms", "beyond, ms", "target, ms")
        row = tuple(f"{measured[name]:.1f}" for name in ("analyze_ms", "fhir_ms", "beyond_ms", "target_ms"))
        return _table(header, [row])

    return _measured("fhir", make)


def _cache() -> str:
    def make(measured: Document) -> str:
        ways = ("without", "memory, miss", "memory, hit", "Redis, miss", "Redis, hit")
        rows = [
            (cell["door"], *(f"{cell['median_ms'][way]:.1f}" for way in ways)) for cell in measured["doors"]
        ]
        mix = measured["mix"]
        mixed = [
            (
                name,
                f"{mix[name]['hit_rate']:.0%}",
                f"{mix[name]['median_ms']:.1f}",
                f"{mix['none']['seconds'] / mix[name]['seconds']:.1f}",
            )
            for name in ("none", "memory", "Redis")
        ]
        equal = [
            (cell["cache"], str(cell["requests"]), str(cell["workers"]), f"{cell['computed']:.0f}")
            for cell in measured["equal"]
        ]
        return "\n\n".join(
            (
                _table(("door, median ms", *ways), rows),
                _table(("mix, cache", "hits", "median ms", "times faster in all"), mixed),
                _table(("equal requests at a time, cache", "requests", "API workers", "computed"), equal),
            )
        )

    return _measured("cache", make)


def _cold() -> str:
    def make(measured: Document) -> str:
        rows = [
            (cell["engine"], cell["size"], f"{cell['cpu_seconds']:.2f}", f"{cell['peak_rss_mb']:.0f}")
            for cell in measured["engines"]
        ]
        runner, memory = measured["runner"], measured["memory"]
        said = (
            f"The runner process of the served {runner['size']}, BentoML and the proof by the golden "
            f"included: {runner['cpu_seconds']:.2f} CPU s to its first answer. With {memory['size']} and "
            f"batches of {memory['batch']}, with profiles, it holds {memory['peak_rss_mb']:.0f} MB at most."
        )
        return f"{_table(('engine', 'size', 'CPU s', 'peak MB'), rows)}\n\n{said}"

    return _measured("cold", make)


def _cohort() -> str:
    def make(measured: Document) -> str:
        header = ("way", "wall s", "until the first part", "recordings / s", "at work")
        numbers = ("seconds", "first_part_seconds", "per_second", "working_per_second")
        rows = [(cell["way"], *(f"{cell[name]:.1f}" for name in numbers)) for cell in measured["cells"]]
        said = (
            f"{measured['recordings']} recordings of {measured['days']} days, {measured['megabytes']:.0f} "
            f"MB, {measured['per_file']} to a file. All ways wrote the same bytes: "
            f"{'yes' if measured['same_bytes'] else 'no'}. Efficiency of two workers: "
            f"{measured['efficiency']:.0%} at work, {measured['efficiency_with_start']:.0%} with the start "
            "of Ray and of the workers."
        )
        return f"{_table(header, rows)}\n\n{said}"

    return _measured("cohort", make)


def _load() -> str:
    def make(measured: Document) -> str:
        arrivals = measured["arrivals"]
        header = ("load", "arrivals / s", "answered / s", "refused", "p50 ms", "p99 ms", "simulated p50, p99")
        rows = [
            ("one caller, with pauses", "", *_load_row(measured["alone"]), ""),
            *(
                (f"{one['share']:.0%} of capacity", f"{one['rate']:.1f}", *_load_row(one), _simulated(one))
                for one in arrivals
            ),
        ]
        checks = [
            (one["target"], f"{one['found']:.2f}", f"{one['most']:g}", "yes" if one["held"] else "**no**")
            for one in measured["targets"]
        ]
        targets = _table(("target", "found", "at most", "held"), checks)
        return f"{_load_said(measured)}\n\n{_table(header, rows)}\n\n{targets}"

    return _measured("load", make)


def _load_row(one: Document) -> tuple[str, ...]:
    latency = one["latency_ms"]
    refused = str(one["statuses"].get("503", 0))
    return f"{one['answered_per_second']:.1f}", refused, f"{latency['p50']:.1f}", f"{latency['p99']:.1f}"


def _simulated(one: Document) -> str:
    found = one.get("simulated_ms")
    return f"{found['p50']:.1f}, {found['p99']:.1f}" if found else ""


def _capacities(arrivals: list[Document]) -> str:
    pairs = (one["capacities_per_second"] for one in arrivals)
    return "; ".join(f"{before:.1f} and {after:.1f}" for before, after in pairs)


def _load_said(measured: Document) -> str:
    arrivals, memory = measured["arrivals"], measured["memory"]
    twice, sizes = arrivals[-1], memory["rss_mb"]
    cores = max(one["generator_cores"] for one in arrivals)
    late = max(one["generator_late_p99_ms"] for one in arrivals)
    others = ", ".join(f"{one['others_cores']:.2f}" for one in arrivals)
    return (
        f"Asked: {measured['asked']}; seed {measured['seed']}; {measured['at_once']} at once; capacity "
        f"{measured['capacity_per_second']:.1f} a second. The generator took {cores:.2f} of a core at most "
        f"and sent 99 of 100 within {late:.1f} ms of when they were due; everything else on the machine took "
        f"{others} cores during the three loads, its start included. At 200 % refusals took "
        f"{twice['refused_ms']['p50']:.1f} ms in the median (p99 {twice['refused_ms']['p99']:.1f} ms), and "
        f"in the first second, until the queue was known to stand, p99 of the admitted was "
        f"{twice['onset_admitted_p99_ms']:.0f} ms. The capacity before and after each load was "
        f"{_capacities(arrivals)} a second. With `PAT_TIMEOUT_SECONDS=5` all "
        f"processes together held {sizes[0]:.0f} MB after a tenth of {memory['requests']} small requests and "
        f"{sizes[-1]:.0f} MB at the end; over the second half the slope was "
        f"{memory['late_slope_mb_per_10000']:+.1f} MB in 10,000."
    )


def _cohort_killed() -> str:
    def make(cell: Document) -> str:
        straight = results_file.read("cohort")
        written = straight["measured"]["cells"][0]["written_sha256"] if straight else None
        same = "yes" if cell["written_sha256"] == written else "no"
        return f"{cell['way']}, of the same recordings: the bytes of the table's first way: {same}."

    return _measured("cohort_killed", make)


def _growth() -> str:
    def make(cells: list[Document]) -> str:
        tokens = sorted({cell["tokens"] for cell in cells})
        names = dict.fromkeys(cell["name"] for cell in cells)
        at = {(cell["name"], cell["tokens"]): cell for cell in cells}
        rows = [[name, *(_cpu(at[name, n]) for n in tokens)] for name in names]
        return _table(["CPU ms (floors) by tokens", *map(str, tokens)], rows)

    return _measured("growth", make)


def _preprocessing() -> str:
    return _measured(
        "preprocessing", lambda tables: "\n\n".join("\n".join(lines) for lines in tables.values())
    )


_TABLES = {
    **{
        part: partial(_encoder, part) for part in (*(f"encoder{batch}" for batch in BATCHES), "encoder1_avx2")
    },
    **{part: partial(_service, part) for part in ("service", "service_avx2")},
    "safeguards": _safeguards,
    "tracing": _tracing,
    "fhir": _fhir,
    "cache": _cache,
    "cold": _cold,
    "cohort": _cohort,
    "load": _load,
    "cohort_killed": _cohort_killed,
    "growth": _growth,
    "preprocessing": _preprocessing,
}

if __name__ == "__main__":
    main()
