"""Download of the authors' published encoders, over HTTPS, kept only if they are what was asked for.

The links are those of the README of njacobsonlab/Pretrained-Actigraphy-Transformer; the file name decides
which cohort a file was trained on. The authors publish no hashes, so none is built in: the structure is
checked, and the digest found is returned to be shown and pinned.
"""

from __future__ import annotations

import hashlib
import ipaddress
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from models.checkpoint import Checkpoint, CheckpointError
from models.config import CONFIGS
from models.keras_import import ImportOptions, import_keras

__all__ = ["OFFICIAL", "DownloadOptions", "Downloaded", "download", "ignore_progress"]

MAX_BYTES = 32_000_000  # three times PAT-L in its largest layout
MAX_REDIRECTS = 5
LICENCE = "CC BY 4.0, Ruan et al., https://github.com/njacobsonlab/Pretrained-Actigraphy-Transformer"

_COHORTS = {
    "29k": "Pretrained on NHANES 2003-04, 2005-06, 2011-12 and 2013-14 (29,307 people).",
    "21k": "Pretrained on NHANES 2003-04, 2005-06 and 2011-12 (21,538 people).",
}
_LINKS = {
    ("PAT-S", "29k"): "12ip8owx1psc4o7b2uqff/PAT-S_29k_weights.h5?rlkey=ffaf1z45a74cbxrl7c9i2b32h",
    ("PAT-M", "29k"): "hlfbni5bzsfq0pynarjcn/PAT-M_29k_weights.h5?rlkey=frbkjtbgliy9vq2kvzkquruvg",
    ("PAT-L", "29k"): "exk40hu1nxc1zr1prqrtp/PAT-L_29k_weights.h5?rlkey=t1e5h54oob0e1k4frqzjt1kmz",
    ("PAT-S", "21k"): "ik45lrtqgenm61cgkkgkz/PAT-S_21k_weights.h5?rlkey=n2zv3jhdnvp7w8inir96y1ime",
    ("PAT-M", "21k"): "dsd6px97gcipqm80iie17/PAT-M_21k_weights.h5?rlkey=q480rjj5g2id88xt9feie70tj",
    ("PAT-L", "21k"): "dglz917p3hqw5mwbovsv2/PAT-L_21k_weights.h5?rlkey=ppzxvp9i7t9k8j3w9x77fjfil",
}
OFFICIAL = {which: f"https://www.dropbox.com/scl/fi/{link}&dl=1" for which, link in _LINKS.items()}

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all if the server says so


def ignore_progress(received_bytes: int, total_bytes: int | None) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class DownloadOptions:
    """Which file, from where, and how much of it.

    ``url`` replaces the official link. ``loopback_http`` allows plain HTTP to this very machine, for tests.
    """

    cohort: str = "29k"
    url: str | None = None
    sha256: str | None = None
    name: str | None = None
    progress: Progress = ignore_progress
    max_bytes: int = MAX_BYTES
    timeout_seconds: float = 30.0
    loopback_http: bool = False


@dataclass(frozen=True)
class Downloaded:
    """A file that was checked, its SHA-256 to pin, and what it holds."""

    path: Path
    sha256: str
    checkpoint: Checkpoint


def download(size: str, destination: Path, options: DownloadOptions = DownloadOptions()) -> Downloaded:
    """Fetch the encoder ``size`` (PAT-S, PAT-M, PAT-L) into the folder ``destination``.

    The file appears there whole and checked (SHA-256 if pinned, structure, size), or not at all. Raises
    CheckpointError saying what went wrong.
    """
    url = _url(size, options)
    file_name = f"{size}_{options.cohort}_weights.h5"
    destination.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination, prefix=".download-") as scratch:
        partial = Path(scratch) / file_name
        sha256 = _fetch(url, partial, options)
        checkpoint = import_keras(partial, _import_options(size, url, options))
        partial.replace(destination / file_name)
    return Downloaded(destination / file_name, sha256, checkpoint)


def _url(size: str, options: DownloadOptions) -> str:
    if size not in CONFIGS:
        raise CheckpointError(f"size {size:.40}: expected one of {', '.join(CONFIGS)}")
    if options.url is not None:
        return _direct(options.url)
    if (size, options.cohort) not in OFFICIAL:
        known = ", ".join(" ".join(which) for which in OFFICIAL)
        raise CheckpointError(
            f"{size} {options.cohort:.20}: no official file; expected one of {known}, or a URL"
        )
    return OFFICIAL[size, options.cohort]


def _direct(url: str) -> str:
    """Turn a Dropbox page link into the link of the file itself."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise CheckpointError("URL: expected an https:// address") from error
    is_dropbox = parsed.host == "dropbox.com" or parsed.host.endswith(".dropbox.com")
    return str(parsed.copy_set_param("dl", "1")) if is_dropbox else url


def _import_options(size: str, url: str, options: DownloadOptions) -> ImportOptions:
    official = options.url is None
    return ImportOptions(
        name=options.name or (f"{size.lower()}-{options.cohort}" if official else None),
        size=size,
        sha256=options.sha256,
        source=url.partition("?")[0],
        licence=LICENCE if official else "not stated",
        note=f"{_COHORTS[options.cohort]} arXiv:2411.15240." if official else "",
    )


def _fetch(url: str, target: Path, options: DownloadOptions) -> str:
    """Write what ``url`` sends to ``target`` and return its SHA-256."""
    digest, received = hashlib.sha256(), 0
    try:
        with _response(url, options) as response, target.open("wb") as sink:
            total = _announced(response, options.max_bytes)
            for chunk in response.iter_bytes():
                received += len(chunk)
                if received > options.max_bytes:
                    raise CheckpointError(_too_large(options.max_bytes))
                digest.update(chunk)
                sink.write(chunk)
                options.progress(received, total)
    except httpx.HTTPError as error:
        what = f"interrupted after {received} bytes" if received else "no answer"
        raise CheckpointError(
            f"download: {what} ({type(error).__name__}); nothing was kept, try again"
        ) from error
    return digest.hexdigest()


def _announced(response: httpx.Response, max_bytes: int) -> int | None:
    length = response.headers.get("content-length", "")
    total = int(length) if length.isdecimal() else None
    if total is not None and total > max_bytes:
        raise CheckpointError(_too_large(max_bytes))
    return total


def _too_large(max_bytes: int) -> str:
    return f"download: expected at most {max_bytes} bytes, found more; nothing was kept, check the URL"


@contextmanager
def _response(url: str, options: DownloadOptions) -> Iterator[httpx.Response]:
    """Open ``url``, following redirects that stay on an allowed scheme."""
    headers = {"Accept-Encoding": "identity"}
    with httpx.Client(timeout=options.timeout_seconds, headers=headers, follow_redirects=False) as client:
        request = client.build_request("GET", url)
        for _ in range(MAX_REDIRECTS + 1):
            _check_scheme(request.url, options)
            response = client.send(request, stream=True)
            if response.next_request is None:
                break
            response.close()
            request = response.next_request
        else:
            raise CheckpointError(f"download: expected at most {MAX_REDIRECTS} redirects; check the URL")
        try:
            _check_status(response)
            yield response
        finally:
            response.close()


def _check_scheme(url: httpx.URL, options: DownloadOptions) -> None:
    if url.scheme == "https" or (options.loopback_http and url.scheme == "http" and _is_loopback(url.host)):
        return
    raise CheckpointError(f"download: expected https, found {url.scheme or 'no scheme'}; refused")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_status(response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK:
        raise CheckpointError(
            f"download: expected HTTP status 200, found {response.status_code}; check the URL"
        )
