# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on the host, in a form that two moments can be compared by."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils.jail import live

from . import sandbox


def files(*places: str) -> dict[str, tuple[Any, ...]]:
    """Every file below these directories: kind and mode, owner, time of its last change, and what is in it."""
    found = {}
    for place in places or sandbox.PLACES:
        for folder, folders, names in os.walk(place):
            for path in [folder, *(os.path.join(folder, name) for name in [*folders, *names])]:
                found[path] = _facts(path)
    return found


def _facts(path: str) -> tuple[Any, ...]:
    status = os.lstat(path)
    content = ""
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            content = _digest(file.fileno(), status.st_size)
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content


def _digest(descriptor: int, size: int) -> str:
    """Of the data and where it lies: the holes of a large image are not read (lseek(2), SEEK_DATA)."""
    digest = hashlib.sha256(str(size).encode())
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            break
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        digest.update(f"{start} {end} ".encode())
        while start < end:
            chunk = os.pread(descriptor, min(1 << 20, end - start), start)
            if not chunk:
                return digest.hexdigest()  # cut short meanwhile
            digest.update(chunk)
            start += len(chunk)
    return digest.hexdigest()


# The kernel finds out by and by that nobody is at the other end of a device, and that nobody has its address.
_PASSING = re.compile(r"NO-CARRIER,|,LOWER_UP|\bstate [A-Z]+ | tentative\b| linkdown\b")


def network() -> str:
    """Devices, addresses, routes, packet filter and forwarding of the host."""
    said = [
        _lines("ip", "-o", "addr").replace(" tentative", ""),  # an address of IPv6 in its first second
        _lines("ip", "-o", "link"),
        _lines("ip", "route"),
        _lines("nft", "list", "ruleset"),
    ]
    for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            said.append(file.read())
    return _PASSING.sub("", "\n".join(said))


def _lines(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def groups() -> dict[str, dict[str, str]]:
    """The tests' control groups: processes and limits of each."""
    return {
        name: {
            "processes": json.dumps(live.group_of(name).processes()),
            **{limit: str(live.group_of(name).get(limit)) for limit in ("memory_max", "cpu_quota", "pids_max")},
        }
        for name in sandbox.groups()
    }


def everything() -> dict[str, Any]:
    """All of it."""
    return {"files": files(), "network": network(), "groups": groups()}
