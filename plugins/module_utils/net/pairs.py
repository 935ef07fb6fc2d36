# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The veth pairs (veth(4)) that join jails to the host: one end in the jail, the other a port of a bridge.

The host's end is called ``vj{slot}n{number}``, and once the pair is complete it has the alias ``jail NAME INTERFACE``.
A jail's interface is ours when it is a veth whose other end, as the kernel says by index, is a device of the host with
such a name: even a jail that may make devices has no say in the host's. All other devices of a jail are its own.
"""

from __future__ import annotations

import errno
import itertools
import re
from collections.abc import Iterable
from typing import NamedTuple

from ..errors import JailError
from ..kernel import namespaces
from . import sysctl
from .netlink import Attributes, DefaultRoute, Link, Netlink

_HOST_NAME = re.compile(r"vj(\d+)n(\d+)")


class Pair(NamedTuple):
    """One interface of a jail as the kernel has it."""

    inside: Link
    outside: Link
    bridge: Link | None
    addresses: frozenset[str]
    """With prefix length, without the link-local ones, which the kernel gives."""
    link_local: frozenset[str]
    """Those."""
    routes: tuple[DefaultRoute, ...]
    """The default routes by this interface."""


def survey(host: Netlink, jail: Netlink, slot: int) -> list[Pair]:
    """The pairs of the jail with this ``slot``."""
    ends = [(inside, _other_end(host, inside, slot)) for inside in jail.links() if inside.kind == "veth"]
    ours = [(inside, outside) for inside, outside in ends if outside]
    if not ours:
        return []
    addresses, routes = jail.addresses(), jail.default_routes()
    masters = {master: host.link(master) for master in {outside.master for _inside, outside in ours if outside.master}}
    return [
        Pair(
            inside,
            outside,
            masters.get(outside.master),
            frozenset(text for ifindex, text in addresses if ifindex == inside.ifindex and text[:5] != "fe80:"),
            frozenset(text for ifindex, text in addresses if ifindex == inside.ifindex and text[:5] == "fe80:"),
            tuple(route for route in routes if route.ifindex == inside.ifindex),
        )
        for inside, outside in ours
    ]


def _other_end(host: Netlink, inside: Link, slot: int) -> Link | None:
    outside = host.link(inside.peer) if inside.peer_is_away else None
    # A jail may hold pairs of namespaces of its own: there the index is a coincidence, and does not lead back.
    return outside if outside and outside.peer == inside.ifindex and _number(outside, slot) is not None else None


def _number(outside: Link, slot: int) -> int | None:
    match = _HOST_NAME.fullmatch(outside.name)
    return int(match[2]) if match and int(match[1]) == slot else None


def free_host_name(slot: int, pairs: Iterable[Pair]) -> str:
    """The first name for a host's end that none of the jail's pairs has: those that stay keep theirs."""
    taken = {_number(pair.outside, slot) for pair in pairs}
    number = next(number for number in itertools.count() if number not in taken)
    return f"vj{slot}n{number}"


def create(host: Netlink, jail: Netlink, namespace: int, here: Attributes, there: Attributes) -> Pair:
    """Make a pair with the attributes ``here`` on the host and ``there`` in the network namespace of this descriptor;
    both ends are down, and :func:`complete` is still to come.

    :raises JailError: when the jail has a device of that name.
    """
    _add_veth(host, here, {**there, "net_ns_fd": namespace})
    inside, outside = jail.link(str(there["ifname"])), host.link(str(here["ifname"]))
    if not inside or not outside:
        raise JailError(
            f"interface {there['ifname']} went away while it was made", option="interfaces", advice="try again"
        )
    return Pair(inside, outside, None, frozenset(), frozenset(), ())


def _add_veth(host: Netlink, here: Attributes, there: Attributes) -> None:
    try:
        host.add_veth(here, there)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
        # Left from the jail's last run: the kernel takes a namespace down some time after its last process.
        stale = host.link(str(here["ifname"]))
        if not stale or stale.kind != "veth":
            raise JailError(
                f"the jail has a device {there['ifname']} of its own, or the host one called {here['ifname']}",
                option="interfaces",
                advice="give the interface another name or remove that device",
            ) from error
        host.delete_link(stale)
        host.add_veth(here, there)


def complete(host: Netlink, namespace: int, pair: Pair, alias: str) -> None:
    """Set what netlink cannot, then bring up the host's end and mark it by its alias.

    A pair without the mark is one that we were killed over, and is completed by the next run.
    """
    inside = pair.inside.name
    # The host's end is a port of a bridge and no host on that network.
    sysctl.write_where_present(f"net/ipv6/conf/{pair.outside.name}/disable_ipv6", "1")
    with namespaces.inside(namespace, "net"):
        # The link-local address has to be the one that the host expects (RFC 4291), whatever the default is.
        sysctl.write_where_present(f"net/ipv6/conf/{inside}/addr_gen_mode", "0")
        # A router's advertisements would add addresses and routes to those that are asked for.
        sysctl.write_where_present(f"net/ipv6/conf/{inside}/accept_ra", "0")
        sysctl.write_where_present(f"net/ipv6/conf/{inside}/ndisc_notify", "1")
        sysctl.write(f"net/ipv4/conf/{inside}/arp_notify", "1")
        # Else an IPv4 address takes all later ones of its prefix with it when it goes.
        sysctl.write(f"net/ipv4/conf/{inside}/promote_secondaries", "1")
    host.set_link(pair.outside, {"ifalias": alias, "state": "up"})
