# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server that answers as a test wants, also as none should."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Callable

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process

Answer = Callable[[BaseHTTPRequestHandler], None]
"""Sends the whole answer to a request, status line and all."""


def whole(content: bytes) -> Answer:
    """The content, as it should be."""
    return lambda request: _send(request, len(content), content)


def files(folder: Path) -> dict[str, Answer]:
    """Answers for :func:`serving`: every file below a directory, as it is now."""
    return {f"/{path.relative_to(folder)}": whole(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def cut_short(content: bytes, announced: int) -> Answer:
    """The content, and the end of the connection where more was announced."""
    return lambda request: _send(request, announced, content)


def redirected(target: str) -> Answer:
    """To elsewhere."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", target)
        request.end_headers()

    return answer


def _send(request: BaseHTTPRequestHandler, length: int, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(length))
    request.end_headers()
    request.wfile.write(content)


class _Server(ThreadingHTTPServer):
    """One that does not tell of clients that went away."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(
    answers: Mapping[str, Answer], requests: Path | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """The beginning of this server's URLs, for a ``with`` block. It is a process of its own.

    :param answers: by path; what is not there is answered by 404.
    :param requests: a file that gets a line for every request.
    :param tls: for https.
    """

    class Handler(BaseHTTPRequestHandler):
        """Looks the answer up."""

        def do_GET(self) -> None:
            """Answer."""
            if requests is not None:
                with open(requests, "a", encoding="utf-8") as file:
                    file.write(f"{self.path}\n")
            answer = answers.get(self.path)
            if answer is None:
                self.send_error(404)
                return
            with contextlib.suppress(OSError):  # who asked has heard enough
                answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        pid = process.fork(server.serve_forever)
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            os.kill(pid, signal.SIGKILL)
            process.wait(pid)
