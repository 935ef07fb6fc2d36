# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel parameters of a jail's own network namespace, set by the host in a jail that starts or runs.

Names are paths below ``/proc/sys`` here, and as sysctl(8) has them towards the user. Only such are taken as the kernel
keeps for each network namespace apart; it makes the others read-only in all but the host's, or does not show them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from ...errors import JailError
from ...net import sysctl
from .. import enter, live
from ..live import Running
from ..parameters import Parameters

_ALLOWED = re.compile(r"net/(ipv4/.+|ipv6/.+|mptcp/.+|netfilter/.+|core/somaxconn|unix/max_dgram_qlen)")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")
_VALUE = re.compile(r"[A-Za-z0-9_.,:/ \t-]{0,255}")
_OPTION = "sysctls"
_NAMESPACES = ("user", "net")
"""Some values are group ids, which the kernel takes as those of the user namespace of who writes them."""


def parse(value: Mapping[str, Any]) -> dict[str, str]:
    """Paths and values with single blanks."""
    found = {}
    for name, setting in value.items():
        path = _path(str(name))
        text = str(int(setting) if isinstance(setting, bool) else setting)
        if not _VALUE.fullmatch(text):
            raise ValueError(f"{name}: {text!r} is not a value of a kernel parameter")
        found[path] = " ".join(text.split())
    return found


def show(value: Mapping[str, str]) -> dict[str, str]:
    """With dots, as sysctl(8) writes them; a dot in the name of a device is a slash then."""
    return {path.translate(str.maketrans("/.", "./")): setting for path, setting in value.items()}


def waits(name: str, _wanted: Mapping[str, str], running: bool) -> bool:
    """Whether a restart has to give the jail a network of its own first: what it is in now has the host's."""
    found = live.find(name) if running else None
    return found is not None and found.isolation.shares_network


def _get(running: Running, wanted: Collection[str]) -> Mapping[str, str | None]:
    found: Mapping[str, str | None] = enter.call(
        running, lambda _root: {path: sysctl.read(path) for path in wanted}, _NAMESPACES
    )
    return found


def _put(running: Running, values: Mapping[str, str]) -> None:
    def set_all(_root: int) -> None:
        for path, value in values.items():
            sysctl.write(path, value)

    try:
        enter.call(running, set_all, _NAMESPACES)
    except OSError as error:
        path = str(error.filename).partition(f"{sysctl.PLACE}/")[2]
        if path not in values:
            raise
        raise JailError(f"{_name(path)}={values[path]}: {error.strerror}", option=_OPTION) from error


def _path(name: str) -> str:
    # As sysctl(8): whichever comes first parts the name, and the other one is a plain character.
    first = next((character for character in name if character in "./"), "/")
    path = name if first == "/" else name.translate(str.maketrans("/.", "./"))
    if not all(_PART.fullmatch(part) for part in path.split("/")):
        raise ValueError(f"{name!r} is not the name of a kernel parameter")
    if not _ALLOWED.fullmatch(path):
        raise ValueError(
            f"{name}: not a parameter of a network namespace: net.ipv4, net.ipv6, net.mptcp, net.netfilter, "
            "net.core.somaxconn and net.unix.max_dgram_qlen can be set"
        )
    return path


def _name(path: str) -> str:
    return next(iter(show({path: ""})))


PARAMETERS = Parameters(_OPTION, _name, _get, _put)
