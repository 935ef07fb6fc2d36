# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs that tasks run in a jail: a command and a large file each way, beside plain ssh to the jail's host.

An SSH server of its own listens on the loopback; ssh keeps its connection open and does not compress. The last column
is the jail of this host without SSH. It measures, it never asserts. Needs root; the host is as it was afterwards.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".collections"))

from ansible_collections.cellblock.jails.benchmarks import report
from ansible_collections.cellblock.jails.tests.integration.support import sandbox, sshd
from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name, make_boxes
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, nursery
from ansible_collections.cellblock.jails.tests.integration.support.connect import connected, seconds_of

_MIB = 1 << 20
_SSH_ARGUMENTS = "-o ControlMaster=auto -o ControlPersist=60s"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=100, help="the size of the file")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, sandbox.entered(), sshd.serving() as server:
        jail = fresh_name()
        make_boxes([jail])
        common = {"ansible_control_path_dir": f"{name}/cp", "ansible_ssh_args": _SSH_ARGUMENTS}
        remote = {**server.variables(), **common}
        ways = {
            "ssh": ("ansible.builtin.ssh", remote),
            "jail by ssh": ("cellblock.jails.jail", {**remote, "ansible_jail_name": jail}),
            "jail here": ("cellblock.jails.jail", {"ansible_jail_name": jail, "ansible_jail_transport": "local"}),
        }
        try:
            measured = {title: _measured(*way, Path(name), options.mib, options.rounds) for title, way in ways.items()}
        finally:
            for plugin, variables in list(ways.values())[:2]:
                connected(variables, ("reset",), plugin=plugin)
            attempt("jail_state", name=[jail], state="absent")
            nursery().close()
    rows = [["", *measured], *([what, *(each[what] for each in measured.values())] for what in measured["ssh"])]
    print(report.columns(rows))


def _measured(plugin: str, variables: Mapping[str, Any], folder: Path, mib: int, rounds: int) -> dict[str, str]:
    source, back, inner = folder / "source", folder / "back", "/var/tmp/jails-benchmark"
    if not source.exists():
        with source.open("wb") as file:
            for _each in range(mib):
                file.write(os.urandom(_MIB))
    calls = {
        "command": ("exec_command", "true"),
        f"put {mib} MiB": ("put_file", str(source), inner),
        f"fetch {mib} MiB": ("fetch_file", inner, str(back)),
    }
    all_of_them = [calls["command"], *list(calls.values()) * rounds, ("exec_command", f"rm {inner}")]
    seconds = seconds_of(variables, *all_of_them, plugin=plugin)
    return _shown(calls, seconds[1:-1], mib)


def _shown(calls: Mapping[str, Any], seconds: list[float], mib: int) -> dict[str, str]:
    medians = {what: statistics.median(seconds[place :: len(calls)]) for place, what in enumerate(calls)}
    return {
        what: f"{median * 1000:.0f} ms" if what == "command" else f"{mib / median:.0f} MiB/s"
        for what, median in medians.items()
    }


if __name__ == "__main__":
    main()
