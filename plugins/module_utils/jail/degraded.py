# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail does without: protections that its administrator has given up, named in every result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import live, policy, store

_SHARED_USERS = (
    "userns: it shares the host's user namespace; its root is the host's root and can take over the host, so run there "
    "only what you would run on the host"
)


def of(name: str, wanted: Mapping[str, Any]) -> list[str]:
    """A sentence for each protection that a jail does without: as it runs, or as it would be started.

    :param wanted: canonical options that are about to be recorded.
    """
    running = live.find(name)
    if running is not None:
        shared = running.first_id is None
    else:
        shared = {"userns": policy.USERNS, **store.read(name, "state"), **wanted}["userns"] == "host"
    return [_SHARED_USERS] if shared else []
