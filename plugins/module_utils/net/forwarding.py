# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IP forwarding on the host (the kernel's networking/ip-sysctl): switched on for masquerading and for published ports,
put back when both end. The caller holds the lock ``host``."""

from __future__ import annotations

import os
from collections.abc import Iterable

from . import sysctl
from .switches import FIRST_PURPOSE, Switches

MASQUERADING, PUBLISHING = FIRST_PURPOSE, "publish"
_SWITCHES = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
_HELD = Switches("forwarding")


def is_on(version: int) -> bool:
    """Whether the host forwards packets of this version of IP."""
    return sysctl.read(_SWITCHES[version]) not in (None, "0")


def is_noted() -> bool:
    """Whether there is something to put back or to forget."""
    return _HELD.is_noted()


def is_recorded(purpose: str = MASQUERADING) -> bool:
    """Whether forwarding has been asked for since this boot, for this purpose, and not been put back."""
    return _HELD.is_asked(purpose)


def ensure(versions: Iterable[int], purpose: str = MASQUERADING) -> None:
    """Switch forwarding on for these versions of IP.

    :raises OSError: when the kernel has no such switch, or it cannot be written.
    """
    wanted = {_SWITCHES[version]: "1" for version in versions if not is_on(version)}
    if _SWITCHES[6] in wanted:
        # A router ignores other routers' advertisements, unless accept_ra is 2. First, for the switch drops the routes
        # that were learned on devices with 1.
        wanted = {**dict.fromkeys(_listening(), "2"), **wanted}
    _HELD.put(wanted, purpose)


def _listening() -> list[str]:
    """The ``accept_ra`` of each device that would cease to take router advertisements."""
    found = []
    for device in os.listdir(sysctl.IPV6_DEVICES) if os.path.isdir(sysctl.IPV6_DEVICES) else []:
        base = f"net/ipv6/conf/{device}"
        if device in ("all", "default") or sysctl.read(f"{base}/disable_ipv6") != "0":
            continue
        if sysctl.read(f"{base}/accept_ra") == "1" and sysctl.read(f"{base}/forwarding") == "0":
            found.append(f"{base}/accept_ra")
    return found


def restore(purpose: str = MASQUERADING) -> None:
    """Put back what :func:`ensure` found, unless it is needed for something else, and forget it."""
    _HELD.restore(purpose)
