# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from the host's own loopback to a bridge with jails, and back.

IPv4: the kernel routes packets of 127/8 by a device that has ``route_localnet`` (the kernel's networking/ip-sysctl).
What others send there in that name :mod:`doorways` drops, so its chains have to stand before.

IPv6: the kernel routes packets from ::1 anyway, but looks for ::1 only among the routes of the device by which the
answer came; so the bridge gets such a route of its own. No packet to or from ::1 that comes by a wire is taken. Where
bridges hand packets to IP's hooks (br_netfilter) the answer gets its old address before that check, and fails it.

The caller holds the lock ``host``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from . import sysctl
from .netlink import Netlink
from .switches import Switches

_HELD = Switches("localnet")
_PURPOSE = "publish"


def _parameter(bridge: str) -> str:
    return f"net/ipv4/conf/{bridge}/route_localnet"


def is_recorded() -> bool:
    """Whether a way has been asked for since this boot, and not all of them have been closed."""
    return _HELD.is_asked(_PURPOSE)


def is_open(host: Netlink, version: int, bridge: str) -> bool:
    """Whether there is a way for this version of IP."""
    if version == 4:
        return sysctl.read(_parameter(bridge)) == "1"
    link = host.link(bridge)
    return link is not None and link.ifindex in host.loopback_routes()


def ensure(host: Netlink, version: int, bridges: Iterable[str]) -> None:
    """Open it by these bridges.

    :raises OSError: when the kernel refuses.
    """
    closed = [bridge for bridge in sorted(bridges) if not is_open(host, version, bridge)]
    _HELD.put({_parameter(bridge): "1" for bridge in closed if version == 4}, _PURPOSE)
    if version == 6:
        for link in filter(None, map(host.link, closed)):
            host.add_loopback_route(link)


def close(host: Netlink, besides: Mapping[int, Collection[str]]) -> None:
    """Close what we opened, but by these bridges, by version of IP."""
    routes = host.loopback_routes()
    for link in host.links() if routes else ():
        if link.ifindex in routes and link.name not in besides[6]:
            host.delete_loopback_route(link)
    _HELD.restore(_PURPOSE, {_parameter(bridge) for bridge in besides[4]}, asked=any(besides.values()))
