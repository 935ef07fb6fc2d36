# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jail whose options of isolation change from test to test."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, jail, module, options_changed

DEFAULTS: dict[str, Any] = {
    "allow_chflags": False,
    "allow_raw_sockets": False,
    "allow_set_hostname": False,
    "allow_socket_af": False,
    "allow_sysvipc": False,
    "securelevel": -1,
    "capabilities": {},
    "seccomp": "default",
    "no_new_privs": False,
    "masked_paths": {},
    "readonly_paths": {},
    "personality": "linux",
    "time_offset": {},
    "userns": "auto",
}


class Box:
    """That jail, for one test."""

    def __init__(self, name: str, probe: str) -> None:
        self.name = name
        self._probe = probe

    def start(self, words: list[str] | None = None, **options: Any) -> None:
        """Start it with these options, and the defaults of all others, its first process making this system call."""
        script = f"{self._probe} {' '.join(words)}; exec sleep 100000" if words else "exec sleep 100000"
        module("jail_state", name=[self.name], state="stopped")
        Path(layout.console(self.name)).unlink(missing_ok=True)
        command = ["sh", "-c", script]
        module("jail_state", name=[self.name], **{**DEFAULTS, **options}, command=command, state="started")

    def answers(self, *words: str, **options: Any) -> set[str]:
        """How the first process and one that enters fare with a system call under these options."""
        self.start(list(words), **options)
        for _try in range(100):
            printed = jail("log", self.name).stdout.decode()
            if printed.endswith("\n"):
                break
            time.sleep(0.02)
        return {printed.strip(), self.entered(*words)}

    def entered(self, *words: str) -> str:
        """How one that enters fares."""
        return inside(self.name, self._probe, *words).strip()

    def settles(self, **options: Any) -> None:
        """Give it the options while it runs: recorded, waiting for the restart, made by it, and nothing left to do."""
        names = list(options)
        result = module("jail_state", name=[self.name], **options)
        assert options_changed(result, self.name) == [(name, "record") for name in names]
        assert result["jails"][self.name]["restart_required"] == names
        result = module("jail_state", name=[self.name], **options, state="restarted")
        assert result["jails"][self.name]["restart_required"] == []
        assert not module("jail_state", name=[self.name], **options, state="started")["changed"]
