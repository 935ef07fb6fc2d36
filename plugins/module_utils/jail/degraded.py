# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail does without: protections that its administrator has given up, named in every result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import limits, live, network, place, store
from .isolation import labels, profiles

_SHARED_USERS = (
    "userns: it shares the host's user namespace; its root is the host's root and can take over the host, so run there "
    "only what you would run on the host"
)


_NO_FILTER = (
    "seccomp: no filter stands between it and the kernel's whole interface; capabilities and namespaces still do"
)


_NO_PROFILE = "apparmor_profile: the host has AppArmor, and the jail's processes are unconfined by it"
_NO_NEIGHBOUR_LIMIT = (
    "capabilities: with NET_ADMIN it can undo neighbours_max in its own network, and fill the kernel's table of "
    "neighbours"
)
_NO_DEVICE_FILTER = (
    "devices: the host can filter them by no control group; what keeps others closed is that no node of one can be made"
)


def of(name: str, wanted: Mapping[str, Any]) -> list[str]:
    """A sentence for each protection that a jail does without: as it runs, or as it would be started.

    :param wanted: canonical options that are about to be recorded.
    """
    running = live.find(name)
    holds = running.started_with if running else _desired(name, wanted)
    given_up = {
        _SHARED_USERS: holds["userns"] == "host",
        place.GIVEN_UP: holds["network"] == place.HOST,
        _NO_FILTER: holds["seccomp"] == profiles.UNCONFINED,
        _NO_PROFILE: labels.is_given_up(holds),
        _NO_NEIGHBOUR_LIMIT: running is not None and network.is_uncounted(running),
        _NO_DEVICE_FILTER: running is not None and not running.isolation.devices_filtered,
    }
    return [
        *(sentence for sentence, so in given_up.items() if so),
        *network.given_up(name, wanted),
        *limits.given_up(name, wanted),
    ]


def _desired(name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    state, wiring = store.read(name, "state"), store.read(name, "net")
    return place.isolation_of({**state, **wanted}, {**wiring, **wanted})
