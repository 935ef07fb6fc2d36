# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridges that join jails. One that is missing is made and is ours; the administrator's own are only used.

Ours carry a mark in their alias (``ip link show``) and the jails' gateway addresses: the host is their router.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import JailError
from ..kernel import bridges as kernel_bridges
from . import sysctl
from .addresses import Interface, gateways, stable_mac
from .netlink import Link, Netlink

ALIAS = "cellblock.jails"
_UNFINISHED = "jails-new"


def is_ours(link: Link) -> bool:
    """Whether we made this bridge."""
    return link.kind == "bridge" and link.alias == ALIAS


def ensure(host: Netlink, name: str, addresses: Iterable[str]) -> Link:
    """The bridge ``name``, made if it is missing; if it is ours it is up and has these addresses (with prefix length).

    :raises JailError: when a device of that name is no bridge.
    """
    link = host.link(name) or _create(host, name)
    if link.kind != "bridge":
        kind = link.kind or "a network card"
        raise JailError(f"{name} is no bridge but {kind}", option="interfaces", advice="give another bridge name")
    if is_ours(link):
        if not link.up:
            host.set_link(link, {"state": "up"})
            link = link._replace(up=True)
        _complete(host, link, set(addresses))
    return link


def _create(host: Netlink, name: str) -> Link:
    # The name comes last, with the mark and in one message: killed in between, we leave no bridge of that name that
    # would look like the administrator's.
    unfinished = host.link(_UNFINISHED)
    if unfinished:
        host.delete_link(unfinished)
    # A MAC address of its own: by default a bridge takes its lowest port's, and changes it as jails come and go.
    host.add_bridge(_UNFINISHED, stable_mac("", name))
    # A jail with raw sockets could advertise itself as the host's router (CVE-2020-10749).
    sysctl.write_where_present(f"net/ipv6/conf/{_UNFINISHED}/accept_ra", "0")
    # While it looks, a second or two, whether others have its link-local address, it finds no neighbours for others.
    sysctl.write_where_present(f"net/ipv6/conf/{_UNFINISHED}/accept_dad", "0")
    # Else an IPv4 address takes all later ones of its prefix with it when it goes.
    sysctl.write(f"net/ipv4/conf/{_UNFINISHED}/promote_secondaries", "1")
    unfinished = host.link(_UNFINISHED)
    if not unfinished:
        raise JailError(f"the bridge {name} went away while it was made", option="interfaces", advice="try again")
    host.set_link(unfinished, {"ifname": name, "ifalias": ALIAS, "state": "up"})
    return unfinished._replace(name=name, alias=ALIAS, up=True)


def _complete(host: Netlink, link: Link, wanted: set[str]) -> None:
    have = {address for ifindex, address in host.addresses() if ifindex == link.ifindex}
    missing = wanted - have
    hosts = {address.partition("/")[0] for address in missing}
    for address in have:
        # IPv6 has each address once: one with another prefix length must make room.
        if address.partition("/")[0] in hosts:
            host.delete_address(link, address)
    for address in sorted(missing):
        host.add_address(link, address)


def without_dead_gateways(host: Netlink, bridge: Link, interface: Interface) -> Interface:
    """An interface on a bridge of ours without those gateways that the bridge does not carry."""
    wanted = gateways(interface)
    have = set(host.addresses()) if wanted else set()
    alive = {each.partition("/")[0] for each in wanted if (bridge.ifindex, each) in have}
    return {
        **interface,
        "gateway": interface["gateway"] if interface["gateway"] in alive else None,
        "gateway6": interface["gateway6"] if interface["gateway6"] in alive else None,
    }


def release(host: Netlink, removed: Iterable[Interface], kept: Iterable[Interface]) -> None:
    """Remove every bridge of ours that only interfaces in ``removed`` are on, or nothing, and from the others the
    addresses that were only for those interfaces.

    :param kept: is read as far as a question is open.
    """
    dropped: dict[str | None, set[str]] = {}
    for interface in removed:
        dropped.setdefault(interface["bridge"], set()).update(gateways(interface))
    # Of the others those by which packets pass are in use.
    for name in sorted({*filter(None, dropped), *kernel_bridges.idle()}):
        link = host.link(name)
        if not link or not is_ours(link):
            continue
        if not any(interface["bridge"] == name for interface in kept):
            host.delete_link(link)
        elif dropped.get(name):
            _drop(host, link, dropped[name], kept)


def _drop(host: Netlink, link: Link, addresses: set[str], kept: Iterable[Interface]) -> None:
    for ifindex, address in host.addresses():
        if ifindex == link.ifindex and address in addresses and not _is_gateway(link, address, kept):
            host.delete_address(link, address)


def _is_gateway(link: Link, address: str, interfaces: Iterable[Interface]) -> bool:
    return any(each["bridge"] == link.name and address in gateways(each) for each in interfaces)
