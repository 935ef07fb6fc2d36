# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of jails."""

from __future__ import annotations

import re

from ..errors import JailError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check(name: str) -> str:
    """A jail's name: one label of a host name (RFC 1123), in lower case. It becomes a directory, a cgroup and a host
    name.

    :raises JailError: when it is anything else.
    """
    if not _NAME.fullmatch(name):
        raise JailError(
            f"{name!r} cannot name a jail",
            option="name",
            advice="use 1 to 63 of the characters a-z, 0-9 and '-', with no '-' at either end",
        )
    return name
