# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail's first program is, by the name of its file, and what that asks of its surroundings.

Which program it is the jail's own root decides, who can replace it. So nothing that follows from it may be a
protection: what is given to systemd any jail can have at its next start.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence

from ..kernel import paths
from . import policy
from .live import Running

_SYSTEMD = "systemd"
_STOP_SIGNALS = {_SYSTEMD: "SIGRTMIN+3"}
"""What asks an init to end the jail, where that is not :data:`policy.STOP_SIGNAL` (systemd(1), "Signals")."""


def manages_groups(root: int, argv: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether the program that a jail is to begin with does not start without control groups of its own: systemd.

    :param root: a descriptor of the jail's root directory.
    """
    folders = [""] if "/" in argv[0] else environment["PATH"].split(":")
    for folder in folders:
        path = os.path.join(folder, argv[0])
        # What is not there is told by the exec.
        with contextlib.suppress(OSError), paths.opened(paths.open_in(root, path, os.O_PATH)) as found:
            return _name(f"/proc/self/fd/{found}") == _SYSTEMD
    return False


def stop_signal(running: Running) -> str:
    """What its init takes for the wish that the jail ends."""
    with contextlib.suppress(OSError):  # it has ended
        return _STOP_SIGNALS.get(_name(f"/proc/{running.pid}/exe"), policy.STOP_SIGNAL)
    return policy.STOP_SIGNAL


def _name(link: str) -> str:
    """The last part of where a link of /proc leads."""
    return os.path.basename(os.readlink(link))
