# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of ``jail_rootfs``: with ``-v`` it shows how far a build is while the module runs.

A module can tell nothing before its end, but its builders write a log on the host. A second process reads that over
the same connection, every now and then; the module runs as it would without. The process is a fork of ours, with
copies of the connection and of what it knows of passwords. So that two can use them, the connection has to be of a
kind that starts a program for each command and holds nothing open itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Iterator
from typing import Any

from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display

from ansible_collections.cellblock.jails.plugins.module_utils import layout

_CONNECTIONS = ("local", "ssh")
_SECONDS = 1.0
"""Between two looks at the log."""
_LAST_LOOK_SECONDS = 10.0

display = Display()


class ActionModule(NormalAction):
    """The module as any other, followed where somebody wants to see it."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module; its result."""
        with contextlib.ExitStack() as stack:
            if self._is_to_be_followed():
                stack.enter_context(self._followed(str((task_vars or {}).get("inventory_hostname", ""))))
            result: dict[str, Any] = NormalAction.run(self, tmp, task_vars)
        return result

    def _is_to_be_followed(self) -> bool:
        task = self._task
        kind = self._connection.transport.rpartition(".")[2]
        quiet = display.verbosity < 1 or task.no_log
        return kind in _CONNECTIONS and not quiet and not task.check_mode and not task.async_val

    @contextlib.contextmanager
    def _followed(self, host: str) -> Iterator[None]:
        """Show what the log of the builds gets during a ``with`` block."""
        # The first command opens what the connection shares between processes: two at once would do it twice.
        seen = self._count()
        if seen is None:
            yield  # the module will meet the same, and say what it is
            return
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(writing)
            try:
                self._follow(host, seen, reading)
            finally:
                os._exit(0)
        os.close(reading)
        try:
            yield
        finally:
            os.close(writing)
            _await(pid)

    def _follow(self, host: str, seen: int, reading: int) -> None:
        """Look until the other end of the pipe is closed, and once more."""
        over = False
        while not over:
            over = bool(select.select([reading], [], [], _SECONDS)[0])
            lines = self._lines(f"tail -n +{seen + 1} {layout.BUILD_LOG} 2>/dev/null")
            seen += len(lines)
            for line in lines if display.verbosity > 1 else lines[-1:]:
                display.v(line, host=host)

    def _count(self) -> int | None:
        """How many lines the log has; ``None`` when that cannot be found out."""
        with contextlib.suppress(Exception):
            return int(self._lines(f"cat {layout.BUILD_LOG} 2>/dev/null | wc -l")[-1])
        return None

    def _lines(self, command: str) -> list[str]:
        execute: Callable[[str], dict[str, Any]] = self._low_level_execute_command
        return list(execute(command)["stdout_lines"])


def _await(pid: int) -> None:
    """Wait for the last look, but not for ever: the process may hold the display's lock, so nobody ends it."""
    deadline = time.monotonic() + _LAST_LOOK_SECONDS
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.02)
