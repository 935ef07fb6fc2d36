# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A way for jails of the sandbox to the host's mirror: a forwarder of HTTP requests (RFC 9112, section 3.2.2)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import namespaces, process

PAGE = b"what a web server has\n"
"""What anybody is answered who asks for a path and not for a URL."""

_PASSED_ON = ("Content-Type", "Content-Length", "Last-Modified")
_SECONDS = 60


class _Server(ThreadingHTTPServer):
    """One that does not tell of clients that went away."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


class _Handler(BaseHTTPRequestHandler):
    """Gets what is asked for."""

    def do_GET(self) -> None:
        """Answer."""
        if self.path.startswith("/"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)
            return
        try:
            with urllib.request.urlopen(self.path, timeout=_SECONDS) as answer:
                self.send_response(answer.status)
                for name in _PASSED_ON:
                    if answer.headers[name]:
                        self.send_header(name, answer.headers[name])
                self.end_headers()
                shutil.copyfileobj(answer, self.wfile)
        except urllib.error.HTTPError as error:
            self.send_error(error.code)
        except OSError as error:
            self.send_error(502, str(error))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@contextlib.contextmanager
def running() -> Iterator[int]:
    """Listen on all addresses of the network that we are in, and ask in that of who started the tests, for a ``with``
    block; gives the port. It is a process of its own."""
    with _Server(("", 0), _Handler) as server:

        def serve() -> None:
            with namespaces.inside(outside, "net"):
                server.serve_forever()

        outside = namespaces.open_namespace(os.getppid(), "net")
        pid = process.fork(serve)
        try:
            yield server.server_port
        finally:
            os.close(outside)
            os.kill(pid, signal.SIGKILL)
            process.wait(pid)
