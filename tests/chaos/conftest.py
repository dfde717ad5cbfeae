"""The home with the demonstration weights, as in the other suites that serve."""

from __future__ import annotations

from tests.e2e.conftest import home

__all__ = ["home"]
