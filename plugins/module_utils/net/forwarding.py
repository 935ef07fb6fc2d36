# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IP forwarding on the host (the kernel's networking/ip-sysctl): switched on for masquerading, put back when that ends.

The values from before are recorded in the host state, with the boot that they belong to: a later boot has its own. The
caller holds the lock ``host``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from .. import files, layout
from . import sysctl

_SWITCHES = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
_KEY = "forwarding"


def is_on(version: int) -> bool:
    """Whether the host forwards packets of this version of IP."""
    return sysctl.read(_SWITCHES[version]) not in (None, "0")


def is_noted() -> bool:
    """Whether there is something to put back or to forget."""
    return _KEY in _state()


def is_recorded() -> bool:
    """Whether forwarding has been asked for since this boot, and not been put back."""
    return _record(_state()) is not None


def _state() -> dict[str, Any]:
    return files.read_json(layout.HOST_STATE) or {}


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _record(state: dict[str, Any]) -> dict[str, str] | None:
    """The recorded values of this boot by name."""
    record = state.get(_KEY)
    return record["before"] if record and record["boot"] == _boot() else None


def ensure(versions: Iterable[int]) -> None:
    """Switch forwarding on for these versions of IP.

    :raises OSError: when the kernel has no such switch, or it cannot be written.
    """
    wanted = {_SWITCHES[version]: "1" for version in versions if not is_on(version)}
    if _SWITCHES[6] in wanted:
        # A router ignores other routers' advertisements, unless accept_ra is 2. First, for the switch drops the routes
        # that were learned on devices with 1.
        wanted = {**dict.fromkeys(_listening(), "2"), **wanted}
    state = _state()
    before = _record(state)
    if wanted or before is None:
        # Recorded before it is done: killed in between, we put back what is there.
        found = {name: value for name in wanted if (value := sysctl.read(name)) is not None}
        state[_KEY] = {"boot": _boot(), "before": {**found, **(before or {})}}
        files.write_json(layout.HOST_STATE, state)
    for name, value in wanted.items():
        sysctl.write(name, value)


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


def restore() -> None:
    """Put back what :func:`ensure` found, and forget it."""
    state = _state()
    for name, value in (_record(state) or {}).items():
        sysctl.write_where_present(name, value)
    if state.pop(_KEY, None) is not None:
        files.write_json(layout.HOST_STATE, state)
