"""The commands of `pat`, by what they are about; what is heavy is imported inside, so help is instant."""

from __future__ import annotations

__all__ = ["arguments", "cohort_run", "encoders", "recordings", "research", "safeguards", "serve", "weights"]
