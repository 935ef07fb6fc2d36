# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network layer as the options of ``jail_net`` use it: of the host, of a running jail, and of what is recorded."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ..errors import JailError
from ..kernel import paths
from ..net import addresses, publish
from ..net.addresses import Interface
from ..net.network import Network
from ..net.publish import Reach
from . import place, store
from .live import Running


@functools.lru_cache(maxsize=1)
def host() -> Network:
    """The host's network, one for all jails that this process works on: one socket, one reading of what they share."""
    return Network()


def namespace(running: Running) -> AbstractContextManager[int]:
    """A descriptor of the network namespace of a jail that has one of its own, for a ``with`` block."""
    if place.is_shared_by(running):
        # Who asks for it is about to make it all that the jail should have.
        raise ValueError(f"the network of {running.name} is the host's")
    return paths.opened(running.open_part("ns/net"))


def interfaces(recorded: Mapping[str, Any]) -> list[Interface]:
    """Those that a jail should have, from what is recorded of its network."""
    return addresses.completed(recorded.get("interfaces", []))


def reach(recorded: Mapping[str, Any]) -> Reach:
    """Likewise, how the host's ports should lead into it.

    :raises JailError: where one has nothing to lead to.
    """
    try:
        return publish.reach(recorded.get("publish", []), interfaces(recorded))
    except ValueError as error:
        advice = "give the jail such an address, or take that entry away"
        raise JailError(str(error), option="publish", advice=advice) from error


def reaches(jails: Sequence[str]) -> dict[str, Reach]:
    """How the host's ports should lead into those of these jails that publish any."""
    found = {}
    for name in jails:
        recorded = store.read(name, "net")
        if recorded.get("publish"):
            # One with nothing to lead to, as two sources of desired state may have put together, leads nowhere.
            with contextlib.suppress(JailError):
                found[name] = reach(recorded)
    return found
