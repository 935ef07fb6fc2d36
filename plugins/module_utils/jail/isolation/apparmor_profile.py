# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a jail's AppArmor profile (apparmor.d(5)).

It says once more, in another part of the kernel, what capabilities, filter and mounts say: which capabilities and
families there are, that nothing is mounted, what is not written, and that signals and tracing stay within. What it does
not name is as open as those leave it, so files are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import policy
from .record import Isolation

_FAMILIES = ("unix", "inet", "inet6", "netlink")
_SPECIAL = re.compile(r'[\\"*?\[\]{}^@]')
_MOUNT_TABLES = ("mounts", "mountinfo", "mountstats")
TABLES_HIDDEN = 2
"""The ``enforce_statfs`` that takes a jail's mount tables from it."""


def text(name: str, isolation: Isolation, values: Mapping[str, Any]) -> str:
    """The profile of this name.

    :param values: canonical values of the isolation options.
    """
    lines = [
        "file,",
        "unix,",
        "dbus,",
        *_capabilities(isolation),
        *(["network,"] if values["allow_socket_af"] else [f"network {family}," for family in _FAMILIES]),
        f"signal (send, receive) peer={name},",
        "signal (receive) peer=unconfined,",
        f"ptrace (trace, read, tracedby, readby) peer={name},",
        "ptrace (tracedby, readby) peer=unconfined,",
        *(["mount,", "remount,", "umount,"] if isolation.has_inner else []),
        *(["pivot_root,"] if isolation.may_nest else []),
        *_denied(isolation),
        *(_tables() if values["enforce_statfs"] == TABLES_HIDDEN else []),
    ]
    # A file is named by its path in the jail also where the jail's root is no mount of the host's namespace.
    body = "".join(f"  {line}\n" for line in lines)
    return f"profile {name} flags=(attach_disconnected, mediate_deleted) {{\n{body}}}\n"


def _capabilities(isolation: Isolation) -> Iterator[str]:
    """Where there may be children all: this part of the kernel does not tell in which user namespace one is used."""
    if isolation.may_nest:
        yield "capability,"
        return
    for capability in sorted(isolation.capabilities):
        yield f"capability {capability.lower()},"


def _denied(isolation: Isolation) -> Iterator[str]:
    """What cannot be written, even should its cover or its read-only mount be gone. Control groups can: a jail sees
    only those that it was given, if it was given any."""
    writable = (*isolation.writable_paths, policy.GROUPS)
    for path in isolation.masked_paths:
        yield f"deny {_quoted(path)} wklx,"
        yield f"deny {_quoted(path, '/**')} wklx,"
    for path in (*isolation.readonly_paths, "/sys"):
        within = [kept[len(path) + 1 :] for kept in writable if kept.startswith(f"{path}/")]
        for pattern in _all_but(path, within):
            yield f"deny {pattern} wkl,"


def _all_but(path: str, kept: Sequence[str]) -> Iterator[str]:
    """Patterns for all that lies below a path, but for what is below these names in it. AppArmor has no "except", and
    a refusal beats every permission, so the others are spelled out, letter by letter."""
    if not kept:
        yield _quoted(path, "/**")
        return
    prefixes = sorted({name[:length] for name in kept for length in range(len(name))})
    for prefix in prefixes:
        following = "".join(sorted({name[len(prefix)] for name in kept if name.startswith(prefix) and name != prefix}))
        yield _quoted(f"{path}/{prefix}", f"[^{following}]{{,**}}")
    for prefix in prefixes[1:]:
        if prefix not in kept:
            yield _quoted(f"{path}/{prefix}")
    for name in kept:
        yield _quoted(f"{path}/{name}", "[^/]{,**}")


def _tables() -> list[str]:
    return [f"deny /proc/{{,[0-9]*/,[0-9]*/task/[0-9]*/}}{table} r," for table in _MOUNT_TABLES]


def _quoted(path: str, pattern: str = "") -> str:
    """A path as it stands, and a pattern after it."""
    return '"' + _SPECIAL.sub(lambda match: "\\" + match.group(), path) + pattern + '"'
