# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of the tests' own, and how they are killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Collection
from pathlib import Path
from typing import Callable

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process

Action = Callable[[], object]
"""What a second play would do."""


def children() -> list[int]:
    """The pids of our children."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def command_line(pid: int) -> str:
    """What a process was started as."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return "(gone)"


def wait_for_no_children(spared: Collection[int] = ()) -> None:
    """Reap all that was orphaned until nobody is left but those that are ``spared``."""
    deadline = time.monotonic() + 20
    while left := set(children()) - set(spared):
        assert time.monotonic() < deadline, f"still there: {[command_line(pid) for pid in left]}"
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.001)


def in_another_process(action: Action) -> int:
    """Run ``action`` in a process of its own, as a second play would; its pid. It ends with 0 if nothing was raised."""

    def child() -> None:
        action()

    return process.fork(child)


def kill_at_random(action: Action, longest: float) -> bool:
    """Start ``action`` in a process of its own and SIGKILL that one process at a random moment; whether it was hit."""
    pid = in_another_process(action)
    time.sleep(random.uniform(0, longest))
    os.kill(pid, signal.SIGKILL)
    return process.wait(pid) == 128 + signal.SIGKILL
