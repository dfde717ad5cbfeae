"""Download of published weights: kept whole and checked, or not at all."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from models.checkpoint import CheckpointError
from models.download import OFFICIAL, DownloadOptions, download
from tests.models.keras_files import keras_arrays, write


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("served") / "s.h5", keras_arrays("PAT-S")).read_bytes()


class Answers(BaseHTTPRequestHandler):
    """One bad habit a path."""

    content = b""

    def do_GET(self):
        getattr(self, "get_" + self.path.strip("/").split("?")[0])()

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def get_good(self):
        self.answer(200, self.content, Content_Length=len(self.content))

    def get_unannounced(self):
        self.answer(200, self.content)

    def get_interrupted(self):
        self.answer(200, self.content[:1000], Content_Length=len(self.content))

    def get_page(self):
        self.answer(200, b"<html>sign in</html>", Content_Type="text/html")

    def get_absent(self):
        self.answer(404)

    def get_moved(self):
        self.answer(302, Location="/good")

    def get_downgrade(self):
        self.answer(302, Location="http://weights.example/x.h5")

    def get_local_file(self):
        self.answer(302, Location="file:///etc/passwd")

    def get_circle(self):
        self.answer(302, Location="/circle")

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def server(file):
    Answers.content = file
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def fetch(server, path, folder, size="PAT-S", **options):
    return download(size, folder, DownloadOptions(url=f"{server}/{path}", loopback_http=True, **options))


def refused(match, server, path, folder, **options):
    with pytest.raises(CheckpointError, match=match):
        fetch(server, path, folder, **options)
    assert list(folder.iterdir()) == []


def test_a_file_arrives_whole_with_its_digest(server, file, tmp_path):
    steps = []
    got = fetch(server, "good", tmp_path / "new", progress=lambda done, total: steps.append((done, total)))
    assert got.path == tmp_path / "new" / "PAT-S_29k_weights.h5"
    assert got.path.read_bytes() == file
    assert got.sha256 == hashlib.sha256(file).hexdigest() == got.checkpoint.provenance.source_sha256
    assert got.checkpoint.provenance.source == f"{server}/good"
    assert steps[-1] == (len(file), len(file))
    assert list(got.path.parent.iterdir()) == [got.path]


def test_a_redirect_and_a_missing_length_are_fine(server, file, tmp_path):
    assert fetch(server, "moved", tmp_path).path.read_bytes() == file
    assert fetch(server, "unannounced", tmp_path).path.read_bytes() == file


def test_the_pinned_digest_is_accepted_and_another_refused(server, file, tmp_path):
    refused("expected SHA-256 0000", server, "good", tmp_path, sha256="0" * 64)
    fetch(server, "good", tmp_path, sha256=hashlib.sha256(file).hexdigest())


def test_an_interrupted_transfer_leaves_nothing_behind(server, tmp_path):
    refused("interrupted after 1000 bytes .*nothing was kept", server, "interrupted", tmp_path)


def test_an_oversized_file_is_refused_when_announced_and_when_not(server, tmp_path):
    refused("at most 100000 bytes", server, "good", tmp_path, max_bytes=100_000)
    refused("at most 100000 bytes", server, "unannounced", tmp_path, max_bytes=100_000)


def test_another_content_is_refused(server, tmp_path):
    refused("expected a Keras HDF5 file", server, "page", tmp_path)


def test_another_size_than_was_asked_for_is_refused(server, tmp_path):
    refused("expected PAT-M, found PAT-S", server, "good", tmp_path, size="PAT-M")


def test_an_error_status_is_refused(server, tmp_path):
    refused("expected HTTP status 200, found 404", server, "absent", tmp_path)


def test_a_redirect_away_from_https_is_refused(server, tmp_path):
    refused("expected https, found http", server, "downgrade", tmp_path)
    refused("expected https, found file", server, "local_file", tmp_path)


def test_redirects_in_a_circle_end(server, tmp_path):
    refused("at most 5 redirects", server, "circle", tmp_path)


def test_plain_http_is_refused_even_to_this_machine_unless_allowed(server, tmp_path):
    with pytest.raises(CheckpointError, match="expected https, found http"):
        download("PAT-S", tmp_path, DownloadOptions(url=f"{server}/good"))


@pytest.mark.parametrize("url", ["", "weights.h5", "ftp://x/y", "file:///etc/passwd", "http://[::1"])
def test_an_address_that_is_not_https_is_refused(tmp_path, url):
    with pytest.raises(CheckpointError, match=r"expected (https|an https)"):
        download("PAT-S", tmp_path, DownloadOptions(url=url, loopback_http=True))


def test_nobody_there_is_an_error_with_nothing_kept(tmp_path):
    refused("no answer", "http://127.0.0.1:9", "good", tmp_path)


def test_an_existing_file_stays_when_the_new_one_is_bad(server, file, tmp_path):
    kept = fetch(server, "good", tmp_path).path
    with pytest.raises(CheckpointError):
        fetch(server, "interrupted", tmp_path)
    assert kept.read_bytes() == file
    assert list(tmp_path.iterdir()) == [kept]


def test_a_size_without_official_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="PAT-Conv-S 29k: no official file"):
        download("PAT-Conv-S", tmp_path)
    with pytest.raises(CheckpointError, match="expected one of PAT-S"):
        download("PAT-XL", tmp_path)
    with pytest.raises(CheckpointError, match="no official file"):
        download("PAT-S", tmp_path, DownloadOptions(cohort="30k"))


@pytest.mark.parametrize(("which", "url"), OFFICIAL.items())
def test_every_official_link_is_https_direct_and_named_for_what_it_is(which, url):
    assert url.startswith("https://www.dropbox.com/scl/fi/")
    assert f"/{which[0]}_{which[1]}_weights.h5?" in url
    assert url.endswith("&dl=1")


def test_a_dropbox_page_becomes_the_file_itself(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("models.download._fetch", lambda url, *_: asked.append(url) or "")
    page = "https://www.dropbox.com/scl/fi/x/PAT-S_29k_weights.h5?rlkey=k&dl=0"
    with pytest.raises(CheckpointError):
        download("PAT-S", tmp_path, DownloadOptions(url=page))
    assert asked == [page.replace("dl=0", "dl=1")]
