# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of the builders."""

from __future__ import annotations

import errno
import os
import stat
import time
from functools import partial

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import buildlog
from ansible_collections.cellblock.jails.tests.integration.support.layer import log_lines
from ansible_collections.cellblock.jails.tests.integration.support.processes import in_another_process


def test_every_line_is_marked_and_harmless() -> None:
    with buildlog.recording("one") as log:
        os.write(log.descriptor, b"\x1b[2Jhidden\r\nhalf ")
        os.write(log.descriptor, b"a line\n\n" + b"x" * 5000 + b"\xff\xc2\x9b31m\nend")
    lines = log_lines()
    assert lines[:2] == ["[one] ?[2Jhidden", "[one] half a line"]
    assert lines[-1] == "[one] end"
    assert all(line.startswith("[one] ") and line.isprintable() and len(line) < 2100 for line in lines)
    assert stat.S_IMODE(os.stat(layout.BUILD_LOG).st_mode) == 0o640


def test_two_builds_at_once_keep_their_lines_whole() -> None:
    def write(label: str) -> None:
        with buildlog.recording(label) as log:
            for number in range(500):
                log.note(f"{label} says {number}")

    pids = [in_another_process(partial(write, label)) for label in ("a", "b")]
    assert [process.wait(pid) for pid in pids] == [0, 0]
    lines = log_lines()
    for label in ("a", "b"):
        expected = [f"[{label}] {label} says {number}" for number in range(500)]
        assert [line for line in lines if line.startswith(f"[{label}]")] == expected


def test_the_log_shows_lines_as_they_come() -> None:
    with buildlog.recording("live") as log:
        log.note("now")
        deadline = time.monotonic() + 2
        while "[live] now" not in log_lines():
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_a_failure_quotes_what_matters() -> None:
    with buildlog.recording("x") as log:
        log.note("I: progress\nE: the cause\nnoise\nlast words")
        error = log.failure("it failed", "do this")
    assert str(error) == (
        "it failed: E: the cause | noise | last words; do this; "
        f"all of it is in {layout.BUILD_LOG}, in lines that begin with [x]"
    )


def test_a_full_disk_in_the_words_of_a_program_is_that_of_a_system_call() -> None:
    with buildlog.recording("x") as log:
        log.note("tar: ./usr: Cannot mkdir: No space left on device")
        error = log.failure("it failed")
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
