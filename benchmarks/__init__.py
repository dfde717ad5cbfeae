"""Benchmarks: speed and memory, side by side in one run; the results stand in docs/benchmarks.md."""

__all__: list[str] = []
