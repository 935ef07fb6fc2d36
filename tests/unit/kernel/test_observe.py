# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel tells of a process, whatever that calls itself."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import observe, process


def test_a_name_makes_no_line_of_its_own() -> None:
    """The kernel escapes a newline in it and no carriage return. (Read as text usually is, it makes one.)"""
    reading, writing = os.pipe()

    def child() -> None:
        Path("/proc/self/comm").write_bytes(b"a\rForged: 1")
        os.write(writing, b".")
        signal.pause()

    pid = process.fork(child)
    try:
        assert os.read(reading, 1)
        assert "Forged: 1" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        found = observe.status(pid)
        assert "Forged" not in found
        assert found["Pid"] == str(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        process.wait(pid)
        os.close(reading)
        os.close(writing)
