# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients on a terminal of ours, as a user has one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator

from ansible_collections.cellblock.jails.plugins.module_utils import layout

SECONDS = 30.0


class Terminal:
    """A terminal with a client on it."""

    def __init__(self, *command: str, size: tuple[int, int] = (31, 97), piped_output: bool = False) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(self.slave)
        self.shown = b""
        self.client = subprocess.Popen(
            # Ctrl-C ends it as at a terminal, whoever runs the tests: one in the background has it ignored.
            ["env", "--default-signal=INT", "setsid", "--ctty", *command],
            stdin=self.slave,
            stdout=subprocess.PIPE if piped_output else self.slave,
            stderr=self.slave,
            env={**os.environ, "TERM": "vt220"},
        )

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def wait_for(self, text: str) -> str:
        """Wait until the terminal shows a text; all that it showed so far."""
        deadline = time.monotonic() + SECONDS
        while text.encode() not in self.shown:
            ready, _out, _err = select.select([self.master], [], [], deadline - time.monotonic())
            assert ready, f"{text!r} is not shown, but {self.shown!r}"
            self.shown += os.read(self.master, 4096)
        return self.shown.decode()

    def end(self) -> int:
        """Wait for the client; its exit status."""
        status = self.client.wait(SECONDS)
        while select.select([self.master], [], [], 0.1)[0]:
            self.shown += os.read(self.master, 4096)
        return status

    def close(self) -> None:
        """End the client, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self.client.kill()
        self.client.wait()
        if self.client.stdout:
            self.client.stdout.close()
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def on_terminal(*words: str, piped_output: bool = False) -> Iterator[Terminal]:
    """The ``jail`` command on a terminal for a ``with`` block."""
    terminal = Terminal(layout.COMMAND, *words, piped_output=piped_output)
    try:
        yield terminal
    finally:
        terminal.close()
