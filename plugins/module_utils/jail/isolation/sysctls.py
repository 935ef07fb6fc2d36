# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel parameters of a jail's own network namespace, set by the host in a jail that starts or runs.

Names are paths below ``/proc/sys`` here, and as sysctl(8) has them towards the user. Only such are taken as the kernel
keeps for each network namespace apart; it makes the others read-only in all but the host's, or does not show them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import Any

from ... import files, layout
from ...errors import JailError
from ...net import sysctl
from .. import enter
from ..live import Running

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


def set_first(running: Running, wanted: Mapping[str, str]) -> None:
    """Set the parameters of a jail that is being started and has its devices.

    :raises JailError: for one that is not there, or a value that the kernel does not take.
    """
    _change(running, {}, wanted)


def read(running: Running) -> dict[str, str]:
    """The values of those parameters that were ever set in this jail and have not been taken back."""
    values = _values(running, _before(running.name))
    return {path: " ".join(value.split()) for path, value in values.items() if value is not None}


def write(running: Running, wanted: Mapping[str, str]) -> None:
    """Set the parameters, and those that are not wanted any more to what they were before.

    :raises JailError: as :func:`set_first`.
    """
    _change(running, _before(running.name), wanted)


def _change(running: Running, before: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    found = _values(running, wanted)
    for path, value in found.items():
        if value is None:
            raise JailError(f"{_name(path)}: there is no such parameter in the jail", option=_OPTION)
    # Remembered before it is changed: who is killed in between has lost nothing.
    _remember(running.name, {**found, **before})
    _set(running, {**before, **wanted})
    _remember(running.name, {path: before.get(path, value) for path, value in found.items()})


def _values(running: Running, names: Collection[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    if names:
        found = enter.call(running, lambda _root: {path: sysctl.read(path) for path in names}, _NAMESPACES)
    return found


def _set(running: Running, values: Mapping[str, str]) -> None:
    def set_all(_root: int) -> None:
        for path, value in values.items():
            sysctl.write(path, value)

    try:
        enter.call(running, set_all, _NAMESPACES)
    except OSError as error:
        path = str(error.filename).partition(f"{sysctl.PLACE}/")[2]
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


def _file(name: str) -> str:
    return os.path.join(layout.running(name), "sysctls.json")


def _before(name: str) -> dict[str, Any]:
    """By parameter that we have set: its value before."""
    return files.read_json(_file(name)) or {}


def _remember(name: str, before: Mapping[str, Any]) -> None:
    files.write_json(_file(name), dict(before))
