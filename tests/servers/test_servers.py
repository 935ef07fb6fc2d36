# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of Debian's in jails of their own, under systemd: installed by apt-get inside the jail, started as Debian
starts them, and asked for what they are there for. All under the default policy, or with the one switch that is named.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.tests.integration.support.calls import module, shell
from ansible_collections.cellblock.jails.tests.servers.support import table
from ansible_collections.cellblock.jails.tests.servers.support.catalogue import SERVERS, Server
from ansible_collections.cellblock.jails.tests.servers.support.debian import Debian, wire

_INSTALL = "export DEBIAN_FRONTEND=noninteractive; apt-get install -y {}"
_INSTALL_SECONDS = 900
_QUESTION_SECONDS = 120
_STARTED_SECONDS = 90
_YES, _NO = "yes", "no"


class Trial:
    """A jail in which a server is tried, and how far it gets.

    :param opened: options of ``jail_state``.
    """

    def __init__(self, debian: Debian, name: str, number: int, server: Server, opened: Mapping[str, Any]) -> None:
        self.outcome = dict.fromkeys(("installed", "started", "answered"), _NO)
        self.said = ""
        self._name, self._server, self._forwarder = name, server, debian.forwarder
        module("jail_rootfs", jails=[{"name": name, "method": "clone", "source": debian.name}])
        wire(name, number)
        module("jail_state", name=[name], state="started", **opened)
        self._settle()

    def run(self) -> bool:
        """Install, start, ask; whether all of it succeeded."""
        if not self._try("installed", _INSTALL.format(" ".join(self._server.packages)), seconds=_INSTALL_SECONDS):
            return False
        if self._server.setting_up and not self._script(self._server.setting_up):
            return False
        module("jail_state", name=[self._name], state="restarted")
        self._settle()
        active = " && ".join(["true", *(f"systemctl is-active --quiet {unit}" for unit in self._server.units)])
        if not self._try("started", active):
            units = " ".join(self._server.units)
            self._script(f"systemctl status --no-pager --full {units}; journalctl --no-pager --lines 60")
            return False
        return self._try("answered", self._server.question, self._server.answer)

    @property
    def version(self) -> str:
        """Of the first package; empty when it is not installed."""
        return shell(self._name, f"dpkg-query -W -f '${{Version}}' {self._server.packages[0]} 2>/dev/null; true")

    def _settle(self) -> None:
        """Wait until systemd has started what it can."""
        deadline = time.monotonic() + _STARTED_SECONDS
        while time.monotonic() < deadline:
            if self._script("systemctl is-system-running --wait") or "degraded" in self.said:
                return
            time.sleep(0.2)

    def _try(self, step: str, script: str, answer: str = "", seconds: int = _QUESTION_SECONDS) -> bool:
        done = self._script(script, seconds) and re.search(answer, self.said) is not None
        self.outcome[step] = _YES if done else _NO
        return done

    def _script(self, script: str, seconds: int = _QUESTION_SECONDS) -> bool:
        """Run a script; whether it succeeded. What it says is kept."""
        surroundings = f"export LC_ALL=C.UTF-8 FORWARDER={self._forwarder}; "
        command = [layout.COMMAND, "exec", self._name, "--", "bash", "-c", surroundings + script]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=seconds, text=True
        )
        self.said = f"{done.stdout}{done.stderr}"
        return done.returncode == 0


@pytest.mark.parametrize("which", list(SERVERS))
def test_server(
    which: str, debian: Debian, names: Callable[[int], list[str]], record_property: Callable[[str, object], None]
) -> None:
    """A server does what it is there for; where a switch is named, it does not without, and does with it."""
    server = SERVERS[which]
    first, second = names(2)
    number = 3 + 2 * list(SERVERS).index(which)
    record_property("server", which)
    record_property("needs", _switch(server))
    trial = Trial(debian, first, number, server, {})
    worked = trial.run()
    if server.opened:
        assert not worked, f"{which} needs no switch"
        module("jail_state", name=[first], state="absent")
        trial = Trial(debian, second, number + 1, server, server.opened)
        worked = trial.run()
    record_property("version", trial.version)
    for step, outcome in trial.outcome.items():
        record_property(step, outcome)
    assert worked, trial.said


def test_the_documentation_says_the_same() -> None:
    """Which servers there are, and what each needs."""
    assert table.documented() == {which: _switch(server) for which, server in SERVERS.items()}


def _switch(server: Server) -> str:
    """As the table shows it."""
    if not server.opened:
        return "nothing"
    ((option, value),) = server.opened.items()
    return f"`{option}: {json.dumps(value)}`, for {server.why}"
