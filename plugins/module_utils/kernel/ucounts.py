# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many namespaces may be made: the kernel's counts in a user namespace (namespaces(7), "The /proc/sys/user
directory").

A new namespace counts for who makes it in the user namespace that it is made in, and then for the maker of that one in
the one above, and so on up to the host's. So a limit set in a user namespace that has one child binds everything below
that child, whatever users and depths there are (kernel/ucount.c, ``inc_ucount``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from . import paths
from .namespaces import KINDS

COUNTED = (*KINDS, "time")
"""The kinds of namespaces that are counted."""


def open_parameters() -> int:
    """A descriptor of the kernel parameters for :func:`read` and :func:`bound`, which see those of the user namespace
    that the caller is in then."""
    return os.open("/proc/sys", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def read(parameters: int, kinds: Sequence[str] = COUNTED) -> dict[str, int]:
    """The limits of the user namespace that we are in, by kind."""
    found = {}
    for kind in kinds:
        with paths.opened(paths.open_plain(parameters, _path(kind), os.O_RDONLY)) as file:
            found[kind] = int(os.read(file, 32))
    return found


def bound(parameters: int, limits: Mapping[str, int]) -> None:
    """Set limits, by kind. Takes CAP_SYS_RESOURCE in the user namespace that we are in."""
    for kind, most in limits.items():
        with paths.opened(paths.open_plain(parameters, _path(kind), os.O_WRONLY)) as file:
            os.write(file, str(most).encode())


def _path(kind: str) -> str:
    return f"user/max_{kind}_namespaces"
