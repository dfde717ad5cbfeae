"""No secret is in the repository: every tracked file is searched, and what looks like one has a reason."""

import fnmatch
import subprocess
import tomllib

import pytest

from tests.shared import ROOT, missing

pytestmark = pytest.mark.security
ALLOWED = tomllib.loads((ROOT / "tests" / "security" / "secrets.toml").read_text())["allowed"]


def found(folder, files):
    """(file, line, kind) of everything in ``files`` of ``folder`` that looks like a secret."""
    try:
        from detect_secrets import SecretsCollection
        from detect_secrets.settings import default_settings
    except ImportError:
        missing("detect-secrets is not installed (make setup)")
    secrets = SecretsCollection(root=str(folder))
    with default_settings():
        for file in files:
            secrets.scan_file(file)
    return [(file, secret.line_number, secret.type) for file, secret in secrets]


def allowed(file, kind):
    """The entries of the list of exceptions that fit."""
    return [e for e in ALLOWED if fnmatch.fnmatch(file, e["files"]) and kind in e["kinds"]]


@pytest.mark.parametrize(
    "line",
    [
        "-----BEGIN RSA PRIVATE " + "KEY-----",
        "aws_key = 'AKIA" + "IOSFODNN7EXAMPLF'",
        "password = 'correct horse " + "battery staple 42'",
        "url = 'https://user:h0rse" + "battery@example.org/x'",
        "master = '3q2+7wAAq1Zk0s9" + "JcQe0xV5m8yT1uHn4bLr6WpXgEaI='",
    ],
)
def test_a_planted_secret_is_found(tmp_path, line):
    (tmp_path / "settings.py").write_text(f"x = 1\n{line}\n")
    assert [(file, number) for file, number, _ in found(tmp_path, ["settings.py"])][:1] == [
        ("settings.py", 2)
    ]


@pytest.mark.slow  # half a minute; make check runs it too
def test_no_tracked_file_holds_a_secret():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    files = [file for file in listed.stdout.split("\0") if file and (ROOT / file).is_file()]
    assert len(files) > 300
    assert [seen for seen in found(ROOT, files) if not allowed(seen[0], seen[2])] == []


def test_every_exception_has_a_reason():
    assert all(entry["reason"] and entry["files"] and entry["kinds"] for entry in ALLOWED)
