# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the host, and what is left of them when we or they are killed."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import files
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools
from ansible_collections.cellblock.jails.tests.integration.support.processes import (
    children,
    command_line,
    in_another_process,
    kill_at_random,
    wait_for_no_children,
)


def test_a_program_gets_a_clean_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    leak = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(leak, True)
    script = "env; pwd; umask; echo $$; ls /proc/self/fd; cat; kill -0 $PPID || echo alone; exit 7"
    status, text = hosttools.output_of(["/bin/sh", "-c", script])
    os.close(leak)
    assert status == 7
    lines = text.split("\n")
    environment = {line for line in lines if "=" in line}
    assert {line.partition("=")[0] for line in environment} == {"PATH", "HOME", "LC_ALL", "http_proxy", "PWD"}
    assert lines[len(environment) : len(environment) + 3] == ["/", "0022", "1"]
    # 3 is the directory that ls itself reads
    assert re.search(r"\n0\n1\n2\n3\n(?!4)", text)


def test_a_program_that_cannot_be_started_says_why() -> None:
    status, text = hosttools.output_of(["/nonexistent/program"])
    assert (status, "No such file or directory" in text) == (127, True)


def test_a_signal_counts_as_in_a_shell() -> None:
    assert hosttools.output_of(["/bin/sh", "-c", "sh -c 'kill -9 $$'; exit $?"])[0] == 128 + 9


def test_mounts_of_a_program_are_its_own(host: Path) -> None:
    status, text = hosttools.output_of(["/bin/mount", "-t", "tmpfs", "none", str(host)])
    assert (status, text) == (0, "")
    assert not os.path.ismount(host)


def test_what_a_program_leaves_running_is_gone_when_it_returns(host: Path) -> None:
    mark = host / "mark"
    script = f"for i in 1 2 3; do setsid sh -c 'while :; do echo >> {mark}; done' & done; sleep 0.1; exit 3"
    assert hosttools.output_of(["/bin/sh", "-c", script])[0] == 3
    size = mark.stat().st_size
    time.sleep(0.05)
    assert mark.stat().st_size == size > 0


FOREST = (
    "for i in 1 2 3; do setsid sh -c 'trap \"\" HUP TERM INT; sleep 1000 & while :; do :>$0/$$; done' {} & done; wait"
)


@pytest.mark.parametrize("_attempt", range(20))
def test_killed_we_take_all_descendants_along(host: Path, _attempt: int) -> None:
    """And the lock that we held is free only when the last of them is gone."""

    def work() -> None:
        with files.locked("forest"):
            hosttools.output_of(["/bin/sh", "-c", FOREST.format(host)])

    assert kill_at_random(work, 0.15)
    with files.locked("forest"):
        assert not [pid for pid in children() if "sleep" in command_line(pid) or "trap" in command_line(pid)]
    wait_for_no_children()


def test_killed_guard_takes_all_descendants_along(host: Path) -> None:
    pid = in_another_process(lambda: hosttools.output_of(["/bin/sh", "-c", FOREST.format(host)]))
    while not list(host.glob("[0-9]*")):
        time.sleep(0.01)
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        guard = int(file.read())
    os.kill(guard, signal.SIGKILL)
    process.wait(pid)
    wait_for_no_children()


def test_an_interrupt_ends_the_program_before_it_goes_on(host: Path) -> None:
    """Ctrl-C: what clears up afterwards must not meet a writer."""

    def work() -> None:
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            hosttools.output_of(["/bin/sh", "-c", FOREST.format(host)])
        except KeyboardInterrupt:
            os._exit(0 if not children() else 1)
        os._exit(2)

    assert process.wait(in_another_process(work)) == 0
