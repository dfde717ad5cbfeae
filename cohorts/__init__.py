"""Cohorts: many recordings of one study, each through the service's own way, into Parquet files.

recordings what the input holds: a folder of device files, or one Parquet file of recordings
plan       what a run does, cut into parts with stable names; the manifest
tables     an Analysis as rows, and files that are whole or not there
work       one part: recordings in, files out
on_ray     parts on several processes of Ray
run        a run from its plan to its counts, however often it was interrupted
progress   how far a run is, for a terminal or a log
"""

__all__ = ["on_ray", "plan", "progress", "recordings", "run", "tables", "work"]
