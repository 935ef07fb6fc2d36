# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Default jails of busybox with the attack programs."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.tests.integration.support.calls import jail, module, pid_of

from .programs import Programs


class Taken(NamedTuple):
    """How many somebody got, and what ended it: ``all`` that was wanted, an error's name, or ``killed``."""

    number: int
    end: str


@contextlib.contextmanager
def taking(command: Sequence[str], kind: str, number: int, *words: str) -> Iterator[Taken]:
    """Take so many of a kind by the attack that a command runs, and keep them for a ``with`` block."""
    attack = subprocess.Popen([*command, "take", kind, str(number), *words], stdout=subprocess.PIPE)
    assert attack.stdout
    try:
        said = attack.stdout.readline().split()
        yield Taken(int(said[0]), said[1].decode()) if said else Taken(0, "killed")
    finally:
        attack.terminate()
        attack.wait(60)
        attack.stdout.close()


class Cell:
    """One of them, running."""

    def __init__(self, name: str, programs: Programs, rootfs: Mapping[str, Any]) -> None:
        self.name = name
        self.programs = programs
        self.rootfs = rootfs

    def run(self, *words: str) -> str:
        """What the attack says there, as its root; ``SIGSYS`` when a filter has killed it."""
        done = jail("exec", self.name, "--", self.programs.attack, *words)
        if done.returncode == 128 + signal.SIGSYS:
            return "SIGSYS"
        assert done.returncode == 0, done
        return done.stdout.decode().strip()

    def taking(self, kind: str, number: int, *words: str) -> AbstractContextManager[Taken]:
        """Take so many of a kind in the jail, and keep them for a ``with`` block."""
        command = [layout.COMMAND, "exec", self.name, "--", self.programs.attack]
        return taking(command, kind, number, *words)

    def restart(self, **options: Any) -> None:
        """Let it be as new, with other options of ``jail_state`` if need be."""
        module("jail_state", name=[self.name], state="restarted", **options)


def made(name: str, programs: Programs, rootfs: Mapping[str, Any] = MappingProxyType({}), **options: Any) -> Cell:
    """Make and start one, with options of ``jail_rootfs`` and of ``jail_state``."""
    binaries = ["busybox", *programs.all()]
    made_of = {"method": "skeleton", "binaries": binaries, "trust_group": "breakout", **rootfs}
    module("jail_rootfs", name=name, **made_of)
    module("jail_state", name=[name], **{"command": ["sleep", "100000"], **options}, state="started")
    return Cell(name, programs, made_of)


def words_against(how: str, whose: str, victim: int, neighbour: str, canary: Path) -> tuple[str, ...]:
    """The attack on another process and a file by way of its root directory: a ``victim`` of the host, or the first
    process of a ``neighbour``."""
    pid, file = (victim, str(canary)) if whose == "host" else (pid_of(neighbour), "/etc/passwd")
    return how, str(pid), f".{file}"
