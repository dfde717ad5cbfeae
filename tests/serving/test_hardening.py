"""A process that is started cannot be dumped, and tells BentoML's makers nothing."""

import subprocess
import sys

import pytest

from tests.shared import ROOT

pytestmark = [
    pytest.mark.security,
    pytest.mark.skipif(sys.platform != "linux", reason="core dumps are looked at by Linux's means"),
]
LOOK = """
import ctypes, resource
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def said_by(code):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True
    ).stdout.strip()


def test_no_core_file_and_no_look_at_its_memory():
    assert said_by(LOOK).endswith(" 1")  # as a process begins
    assert said_by(f"from serving.hardening import no_core_files as n; n();{LOOK}") == "(0, 0) 1"
    assert said_by(f"from serving.hardening import keep_memory_private as k; k();{LOOK}").endswith(" 0")


def test_bentoml_is_told_not_to_track():
    code = """
from serving.hardening import untracked; untracked()
from bentoml._internal.utils.analytics import usage_stats; print(usage_stats.do_not_track())
"""
    assert said_by(code) == "True"
