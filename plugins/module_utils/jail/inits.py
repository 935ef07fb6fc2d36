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
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..kernel import observe, paths
from ..rootfs import intree, treefiles
from .live import Running

_SYSTEMD = "systemd"
_FOLDERS = ("run/systemd", "run/systemd/system", "run/systemd/system/service.d")
_WITHOUT_USER_NAMESPACES = b"[Service]\nPrivateUsers=no\n"


class Ending(NamedTuple):
    """How an init that we know ends a jail.

    :param signal: asks it to. Whether it hears that cannot be seen: those that wait for signals (sigtimedwait(2)) have
        no handlers.
    :param stays: whether it has to be killed after that, when all others have ended: it would ask the kernel to halt,
        for which a jail has no privilege, and wait.
    """

    signal: str
    stays: bool


_BY_FILE = {
    _SYSTEMD: Ending("SIGRTMIN+3", stays=False),  # systemd(1), "Signals"
    "openrc-init": Ending("SIGTERM", stays=True),  # openrc-init(8)
}
_BUSYBOX = Ending("SIGUSR2", stays=False)  # the applet "init": power off
_SYSVINIT = Ending("SIGINT", stays=True)  # init(8): "ctrlaltdel", which stops all services as for a reboot
_SYSVINIT_TITLE = re.compile(r"init \[[0-9sS]\]")


def manages_groups(root: int, argv: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether the program that a jail is to begin with does not start without control groups of its own: systemd.

    :param root: a descriptor of the jail's root directory.
    """
    folders = [""] if "/" in argv[0] else environment["PATH"].split(":")
    for folder in folders:
        path = os.path.join(folder, argv[0])
        # What is not there is told by the exec.
        with contextlib.suppress(OSError), paths.opened(paths.open_in(root, path, os.O_PATH)) as found:
            return _name(paths.name_of(found)) == _SYSTEMD
    return False


def accommodate(root: int) -> None:
    """Take from all services what no jail can have and systemd does not do without where a unit asks for it: user
    namespaces. By a drop-in below /run (systemd.unit(5)), which the jail has anew at each start.

    :param root: a descriptor of the root directory of a jail whose init is systemd.
    """
    for folder in _FOLDERS:
        intree.make_directory(root, folder)
    treefiles.put(root, f"{_FOLDERS[-1]}/cellblock.conf", _WITHOUT_USER_NAMESPACES)


def ending(running: Running) -> Ending | None:
    """What its init takes for the wish that the jail ends; ``None`` for a program that we do not know."""
    with contextlib.suppress(OSError):  # it has ended
        file, title = _name(f"/proc/{running.pid}/exe"), observe.title(running.pid)
        if file == "busybox" and os.path.basename(title) == "init":
            return _BUSYBOX
        if file == "init" and _SYSVINIT_TITLE.fullmatch(title):
            return _SYSVINIT
        return _BY_FILE.get(file)
    return None


def _name(link: str) -> str:
    """The last part of where a link of /proc leads."""
    return os.path.basename(os.readlink(link))
