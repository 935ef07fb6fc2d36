# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What jails do to their limits."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Sequence

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live

from .calls import jail

SPIN = "while :; do :; done"
_SECONDS = 30


def hog(mib: int) -> str:
    """A shell command that holds so much memory at once and prints the bytes: tail(1) has to hold what it is given, as
    it cannot know where the end is."""
    size = mib << 20
    return f"head -c {size} /dev/zero | tail -c {size} | wc -c"


def fits(name: str, mib: int) -> bool:
    """Whether a process in a jail can hold so much memory."""
    return jail("exec", name, "--", "sh", "-c", hog(mib)).stdout.strip() == str(mib << 20).encode()


def only_on_v2(what: str) -> None:
    """Skip a test of what version 1 does not have."""
    if live.hierarchies().version == 1:
        pytest.skip(f"{what} is of cgroup version 2, and this host's controllers are on version 1")


@contextlib.contextmanager
def busy(names: Sequence[str], script: str = SPIN) -> Iterator[None]:
    """A shell script that runs in each jail for a ``with`` block."""
    with contextlib.ExitStack() as stack:
        for name in names:
            process = subprocess.Popen([layout.COMMAND, "exec", name, "--", "sh", "-c", script])
            stack.callback(process.wait)
            stack.callback(process.kill)
        deadline = time.monotonic() + _SECONDS
        while min(len(live.group_of(name).processes()) for name in names) < 2:
            assert time.monotonic() < deadline, "what was to run does not"
            time.sleep(0.05)
        yield


def cpu_times(names: Sequence[str], seconds: float) -> list[float]:
    """The seconds of CPU time that each jail takes meanwhile."""
    groups = [live.group_of(name) for name in names]
    before = [group.get("cpu_used") or 0 for group in groups]
    time.sleep(seconds)
    return [((group.get("cpu_used") or 0) - used) / 1e6 for group, used in zip(groups, before)]
