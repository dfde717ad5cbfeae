"""What the images are made of, as far as it can be seen without building them."""

import importlib.metadata
import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.image import page
from tests.shared import ROOT

TORCH_ONLY = re.search(r'ARG TORCH_ONLY="(.*)"', (ROOT / "deploy" / "Containerfile").read_text())[1].split()


def needed(leaving_out=frozenset()):
    """Names of the packages that the service needs, by what those that are installed say."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(line) for line in project["dependencies"]]
    found = {}
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in leaving_out or (name in found and wanted.extras <= found[name]):
            continue
        found[name] = found.get(name, set()) | wanted.extras
        for line in importlib.metadata.requires(name) or []:
            inner = Requirement(line)
            if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in ("", *wanted.extras)):
                waiting.append(inner)
    return set(found)


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(Requirement(line).name) for line in lines}


def test_everything_that_the_service_needs_is_pinned():
    assert needed() <= pins()


def test_nothing_is_pinned_for_the_service_that_it_does_not_need():
    assert pins() - needed() == {"async-timeout"}  # for Python before 3.11.3


def test_without_torch_leaves_out_what_torch_alone_needs():
    assert set(TORCH_ONLY) == needed() - needed({"torch"})


def test_the_page_says_what_was_measured_last():
    text = page.PAGE.read_text()
    assert "<!-- results: image -->" in text
    assert page.filled(text) == text
