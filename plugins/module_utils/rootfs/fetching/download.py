# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads: a URL and a checksum to a file in a cache of ours, which nobody looks into before it is verified.

The cache ``downloads`` (:mod:`.caches`) has a directory for each checksum, made whole or not at all (:mod:`.staging`).
It is all done in our own process, so it ends with us; what a killed one left is cleared by the next download of
anything. Who answers is not trusted: a file is kept only if its checksum is the one that was asked for, takes no more
room than it may until then, and has to arrive at more than a trickle.
"""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, Callable

from ... import layout
from ...errors import JailError
from ...kernel import paths
from .. import staging
from . import caches, checksums

_FILE = "file"
_LOCK = "download-"
_CHUNK = 1 << 18
_MIB = 1 << 20
_SILENCE_SECONDS = 30.0
"""How long a server may say nothing."""
_WINDOW_SECONDS, _WINDOW_BYTES = 60.0, 60 << 10
"""A server has to send as much as this in any such time."""
_REPORT_SECONDS = 5.0


def fetch(url: str, checksum: str, most: int, note: Callable[[str], None]) -> str:
    """The path of a file with this checksum, downloaded unless an earlier call has done so.

    It may be removed by hand at any time. Proxies are those of the environment (``http_proxy``, ``https_proxy``,
    ``no_proxy``), certificates those of the system.

    :param url: http or https.
    :param checksum: ``sha256:HEX`` or ``sha512:HEX``.
    :param most: bytes that the file may have.
    :param note: gets lines about how far it is, for a log.
    :raises JailError: when it cannot be had, is another one, or the disk is full. Nothing of it is left then.
    """
    return fetch_checked(
        url, checksum.replace(":", "-"), most, note, lambda descriptor: _verify(url, descriptor, checksum)
    )


def fetch_checked(url: str, name: str, most: int, note: Callable[[str], None], check: Callable[[int], None]) -> str:
    """Like :func:`fetch`, for a file of which something else is known than a checksum of the whole.

    :param url: ``file:`` is allowed as well.
    :param name: what the file is called in the cache: a word that says what must be in it.
    :param check: gets a descriptor at the file's beginning; raises :class:`JailError` when it is another one.
    """
    folder = caches.folder("downloads")
    path = os.path.join(folder, name, _FILE)
    with staging.locked(_LOCK, name):
        if not _is_whole(path, check):
            staging.sweep(folder, _LOCK)
            staging.remove(folder, name)
            with staging.made_whole(folder, name, f"{url} cannot be downloaded") as unfinished:
                _download(url, os.path.join(unfinished, _FILE), most, note)
                with open(os.path.join(unfinished, _FILE), "rb") as file:
                    check(file.fileno())
    return path


def content(url: str, most: int, note: Callable[[str], None]) -> bytes:
    """What is at a URL, verified by nothing and kept nowhere; otherwise like :func:`fetch_checked`.

    :raises JailError: when it cannot be had.
    """
    note(f"I: downloading {url}")
    return b"".join(_received(url, most, note))


def _is_whole(path: str, check: Callable[[int], None]) -> bool:
    """Whether the file is there and still what it was: a disk can forget."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    with paths.opened(descriptor):
        try:
            check(descriptor)
        except JailError:
            return False
        return True


def _download(url: str, path: str, most: int, note: Callable[[str], None]) -> None:
    note(f"I: downloading {url}")
    with open(path, "xb") as file:
        file.writelines(_received(url, most, note))
        file.flush()
        os.fsync(file.fileno())


def _verify(url: str, descriptor: int, checksum: str) -> None:
    found = checksums.of_descriptor(descriptor, checksum)
    if found != checksum:
        what = f"{url} has the checksum {found}, not {checksum}"
        raise JailError(what, "checksum", "compare it with what those who published the file say")


def _received(url: str, most: int, note: Callable[[str], None]) -> Iterator[bytes]:
    """The content, piece by piece; every way in which that can go wrong is a :class:`JailError`."""
    try:
        with _opener().open(url, timeout=_SILENCE_SECONDS) as response:
            yield from _bounded(url, response, most, note)
    except urllib.error.HTTPError as error:
        with error:
            raise JailError(f"{url}: the server says {error.code} {error.reason}", "url") from error
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        reason = getattr(error, "reason", None) or error
        raise JailError(f"{url} cannot be downloaded: {reason}", "url") from error


def _bounded(url: str, response: Any, most: int, note: Callable[[str], None]) -> Iterator[bytes]:
    announced = getattr(response, "length", None)  # a file of the host has none
    if announced is not None and announced > most:
        raise _too_large(url, announced, most)
    received = 0
    reported = window = time.monotonic()
    in_window = 0
    while chunk := response.read1(_CHUNK):
        received += len(chunk)
        if received > most:
            raise _too_large(url, received, most)
        yield chunk
        now, in_window = time.monotonic(), in_window + len(chunk)
        if now - window > _WINDOW_SECONDS:
            if in_window < _WINDOW_BYTES:
                raise JailError(f"{url}: no more than {in_window} bytes came in {now - window:.0f} s", "url")
            window, in_window = now, 0
        if now - reported > _REPORT_SECONDS:
            reported = now
            note(f"I: {received // _MIB} of {'unknown' if announced is None else announced // _MIB} MiB")
    if announced is not None and received < announced:
        raise JailError(f"{url}: the connection ended after {received} of {announced} bytes", "url")


def _too_large(url: str, size: int, most: int) -> JailError:
    what = f"{url} has {size} bytes or more, and {most} is the most that it may take"
    return JailError(what, "url", f"that is a part of what is free below {layout.LIB}; free some space there")


def _opener() -> urllib.request.OpenerDirector:
    """What opens http, https and files, and after a redirection the first two only (HTTPRedirectHandler lets ftp pass
    as well, which nothing here opens)."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.FileHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "cellblock.jails")]
    return opener
