# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads: verified or not there; bounded in size and time; alone in the cache, whoever was killed before."""

from __future__ import annotations

import hashlib
import os
import signal
import ssl
import stat
import subprocess
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.fetching import download
from ansible_collections.cellblock.jails.tests.integration.support import web
from ansible_collections.cellblock.jails.tests.integration.support.layer import SmallDisk
from ansible_collections.cellblock.jails.tests.integration.support.processes import in_another_process

CONTENT = os.urandom(300_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
SHA512 = f"sha512:{hashlib.sha512(CONTENT).hexdigest()}"
_MIB = 1 << 20


def fetch(url: str, checksum: str = SHA256, most: int = _MIB) -> bytes:
    """What a download gives."""
    return Path(download.fetch(url, checksum, most, lambda _line: None)).read_bytes()


def cached() -> list[str]:
    """What is in the cache, half made or not."""
    folder = f"{layout.LIB}/cache/downloads"
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def refused(url: str, checksum: str = SHA256, most: int = _MIB) -> str:
    """The error of a download, after which nothing is there."""
    with pytest.raises(JailError) as caught:
        fetch(url, checksum, most)
    assert cached() == []
    return str(caught.value)


def test_what_was_downloaded_once_needs_no_server_again() -> None:
    with web.serving({"/file": web.whole(CONTENT)}) as server:
        for checksum in (SHA256, SHA512):
            assert fetch(f"{server}/file", checksum) == CONTENT
    assert cached() == [SHA256.replace(":", "-"), SHA512.replace(":", "-")]
    assert fetch("http://127.0.0.1:9/elsewhere") == CONTENT
    assert stat.S_IMODE(os.stat(f"{layout.LIB}/cache/downloads").st_mode) == 0o700


def test_another_content_is_refused() -> None:
    with web.serving({"/file": web.whole(CONTENT[:-1] + b"\0")}) as server:
        message = refused(f"{server}/file")
    assert message.startswith(f"checksum: {server}/file has the checksum sha256:")
    assert f", not {SHA256}" in message


def test_a_download_that_ends_early_is_refused() -> None:
    """Also where the length was never said, and where it ends between two pieces."""

    def chunked(request: BaseHTTPRequestHandler) -> None:
        request.protocol_version = "HTTP/1.1"
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"%x\r\n" % len(CONTENT) + CONTENT[:1000])

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(CONTENT[:1000])

    answers = {"/announced": web.cut_short(CONTENT[:1000], len(CONTENT)), "/chunked": chunked, "/silent": endless}
    with web.serving(answers) as server:
        assert f"ended after 1000 of {len(CONTENT)} bytes" in refused(f"{server}/announced")
        assert "IncompleteRead" in refused(f"{server}/chunked")
        assert "has the checksum" in refused(f"{server}/silent")


def test_what_the_server_says_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("http_proxy", raising=False)
    with web.serving({"/loop": web.redirected("/loop")}) as server:
        assert refused(f"{server}/none").startswith(f"url: {server}/none: the server says 404 Not Found")
        assert "redirect" in refused(f"{server}/loop")
    assert "Connection refused" in refused("http://127.0.0.1:9/file")
    assert "http://no-such-host.invalid/file cannot be downloaded: " in refused("http://no-such-host.invalid/file")
    assert f"http://{'a' * 64}.example/ cannot" in refused(f"http://{'a' * 64}.example/")


def test_a_redirection_leads_to_the_web_only(host: Path) -> None:
    """Not to a file of the host, which the standard library would not give either, nor to ftp, which it would."""
    (host / "secret").write_bytes(CONTENT)
    with web.serving({"/file": web.whole(CONTENT)}) as elsewhere:
        answers = {
            "/good": web.redirected(f"{elsewhere}/file"),
            "/file": web.redirected(f"file://{host}/secret"),
            "/ftp": web.redirected("ftp://127.0.0.1:9/file"),
        }
        with web.serving(answers) as server:
            assert "file" in refused(f"{server}/file")
            assert "unknown url type: ftp" in refused(f"{server}/ftp")
            assert fetch(f"{server}/good") == CONTENT


def test_size_is_bounded() -> None:
    """By what is announced, before any of it is taken; and by what comes."""

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(bytes(1 << 16))

    with web.serving({"/announced": web.cut_short(b"", 1 << 40), "/endless": endless}) as server:
        assert f"has {1 << 40} bytes or more, and {_MIB} is the most" in refused(f"{server}/announced")
        assert f"and {_MIB} is the most" in refused(f"{server}/endless")


def test_a_full_disk_is_named(small_disk: SmallDisk) -> None:
    small_disk(layout.LIB, 4)
    with web.serving({"/file": web.cut_short(bytes(8 * _MIB), 8 * _MIB)}) as server:
        with pytest.raises(JailError, match=rf"cannot be downloaded: No space left .* mounted on {layout.LIB} has"):
            fetch(f"{server}/file", most=8 * _MIB)
        assert cached() == []


def test_a_server_that_says_nothing_or_a_trickle_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"x")
        time.sleep(60)

    def trickling(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(b"x")
            time.sleep(0.05)

    monkeypatch.setattr(download, "_SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(download, "_WINDOW_SECONDS", 0.5)
    with web.serving({"/silent": silent, "/trickling": trickling}) as server:
        assert "timed out" in refused(f"{server}/silent")
        assert "bytes came in" in refused(f"{server}/trickling")


@pytest.fixture
def certificate(host: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed, and its key, in one file."""
    place = host / "server.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(place)]
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = ["openssl", "req", "-x509", *key, *names, "-out", str(host / "crt.pem")]
    subprocess.run(command, check=True, capture_output=True)
    with open(place, "ab") as file:
        file.write((host / "crt.pem").read_bytes())
    return place


def test_https_needs_a_certificate_that_the_system_trusts(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with web.serving({"/file": web.whole(CONTENT)}, tls=context) as server:
        assert "CERTIFICATE_VERIFY_FAILED" in refused(f"{server}/file")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert fetch(f"{server}/file") == CONTENT


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with web.serving({"http://far.example/file": web.whole(CONTENT)}) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        assert fetch("http://far.example/file") == CONTENT


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again() -> None:
    with web.serving({"/file": web.whole(CONTENT)}) as server:
        path = Path(download.fetch(f"{server}/file", SHA256, _MIB, lambda _line: None))
        path.write_bytes(CONTENT[:1000])
        assert fetch(f"{server}/file") == CONTENT


def test_a_killed_download_is_cleared_by_the_next_of_anything() -> None:
    def slow(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(CONTENT)
        time.sleep(60)

    with web.serving({"/slow": slow, "/file": web.whole(CONTENT)}) as server:
        pid = in_another_process(lambda: fetch(f"{server}/slow"))
        half = Path(layout.LIB) / "cache/downloads" / f".new-{SHA256.replace(':', '-')}" / "file"
        deadline = time.monotonic() + 10
        while not half.exists() or not half.stat().st_size:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        process.wait(pid)
        assert cached() == [half.parent.name]
        assert fetch(f"{server}/file", SHA512) == CONTENT
        assert cached() == [SHA512.replace(":", "-")]


def test_two_at_once_download_once(host: Path) -> None:
    def slow(request: BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        web.whole(CONTENT)(request)

    with web.serving({"/file": slow}, requests=host / "requests") as server:
        pids = [in_another_process(lambda: fetch(f"{server}/file")) for _each in range(3)]
        assert [process.wait(pid) for pid in pids] == [0, 0, 0]
    assert (host / "requests").read_text() == "/file\n"
