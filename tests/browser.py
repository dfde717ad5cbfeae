"""A real browser, Debian's Chromium, in which a page is opened and watched."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.shared import missing

_PROGRAMS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
_NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@dataclass
class Watched:
    """A page, whom it asked, and what it complained about."""

    page: Any
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    @property
    def hosts(self) -> set[str]:
        """Where requests went; data that stands in an address goes nowhere."""
        return {urlsplit(url).netloc for url in self.asked if not url.startswith("data:")}

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@contextlib.contextmanager
def watched() -> Iterator[Watched]:
    """Open an empty page; skips where there is no browser."""
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        missing("Chromium is not on this machine (Debian: apt-get install chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed (make setup)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[_NOWHERE])
        try:
            yield Watched(browser.new_page(viewport={"width": 1280, "height": 1000}))
        finally:
            browser.close()
