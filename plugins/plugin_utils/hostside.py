# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``jail`` command on a host, called by a controller: as root, and with errors that say what to do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ansible_collections.cellblock.jails.plugins.module_utils import layout

BECOME = "sudo -n"
"""What makes us root on a host where we are not, if nobody said anything else."""

_AS_ROOT = 'if [ "$(id -u)" = 0 ]; then exec "$@"; fi; exec {become} "$@"'
_OURS = re.compile(r"^jail: (?:[\w.-]+: )?(?P<text>.*)$")
_ADVICE = (
    (
        re.compile(rf"{re.escape(layout.COMMAND)}.*(not found|No such file)", re.IGNORECASE),
        "any module of cellblock.jails that changes something there installs it",
    ),
    (
        re.compile(r"password|not allowed|may not run|not permitted|only root", re.IGNORECASE),
        "log in to the host as root, or have ansible_jail_host_become make root of that user without a password",
    ),
    (
        re.compile(r"usage: jail|unrecognized arguments"),
        "the host has another version of it: run a module of cellblock.jails there",
    ),
)


def command(words: Sequence[str], become: str) -> str:
    """A shell's command line that runs ``jail`` with these words as root.

    :param become: the command, in a shell's words, that runs another as root, for where the login is not root's.
    """
    script = _AS_ROOT.format(become=shlex.join(shlex.split(become)))
    return shlex.join(["/bin/sh", "-c", script, "sh", layout.COMMAND, *words])


def explanation(status: int, output: str) -> str:
    """Why a command of :func:`command` failed, in one line, from its exit status and what it printed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Shared connection to ")] or [f"exit status {status}"]
    ours = [found["text"] for line in lines if (found := _OURS.match(line))]
    said = ours[-1] if ours else lines[-1]
    advice = next((text for pattern, text in _ADVICE if pattern.search(output)), None)
    return f"{said}; {advice}" if advice else said
