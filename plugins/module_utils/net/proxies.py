# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For whom the host answers at a device: addresses of jails that are behind it, as if they were its own there.

IPv4 asks for nothing but forwarding; IPv6 has a switch for each device (``proxy_ndp``, the kernel's
networking/ip-sysctl), whose value from before is put back.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

from .. import files, layout
from . import sysctl
from .addresses import Interface, hosts
from .netlink import Link, Netlink

_KEY = "proxy_ndp"


def move(host: Netlink, before: str | None, old: Iterable[str], parent: Link | None, wanted: Iterable[str]) -> None:
    """Answer at ``parent`` for the addresses ``wanted``, and at ``before`` for none of the ``old`` ones beside."""
    wanted = list(wanted) if parent else []
    left = host.link(before) if before else None
    for address in dict.fromkeys(old) if left else ():
        if left and (not parent or left.ifindex != parent.ifindex or address not in wanted):
            withdraw(host, left, address)
    for address in wanted:
        if parent and not host.answers_for(parent, address):
            host.answer_for(parent, address)
    if parent and any(":" in address for address in wanted):
        _switch_on(parent.name)


def withdraw(host: Netlink, link: Link, address: str) -> None:
    """Answer for an address no longer."""
    if host.answers_for(link, address):
        host.leave_unanswered(link, address)


def answers(host: Netlink, link: Link | None, addresses: Iterable[str]) -> bool:
    """Whether it does, for all of these."""
    addresses = list(addresses)
    on = not any(":" in each for each in addresses) or bool(link and sysctl.read(_switch(link.name)) == "1")
    return on and all(link is not None and host.answers_for(link, each) for each in addresses)


def release(opened: Callable[[], Netlink], removed: Iterable[Interface], kept: Iterable[Interface]) -> None:
    """Answer for no address that only interfaces in ``removed`` have, and put switches back that nobody in ``kept``
    needs.

    :param opened: gives a socket, where one is needed.
    """
    gone = {pair for interface in removed for pair in _asked(interface)}
    switched = (files.read_json(layout.BORROWED) or {}).get(_KEY, {})
    if not gone and not switched:
        return
    stay = {pair for interface in kept for pair in _asked(interface)}
    for parent, address in sorted(gone - stay):
        link = opened().link(parent)
        if link:
            withdraw(opened(), link, address)
    for parent in switched:
        if not any(parent == name and ":" in address for name, address in stay):
            _put_back(parent)


def _asked(interface: Interface) -> list[tuple[str, str]]:
    if interface["type"] != "routed" or not interface["parent"]:
        return []
    return [(interface["parent"], str(ipaddress.ip_address(host))) for host in hosts(interface)]


def _switch(device: str) -> str:
    return f"net/ipv6/conf/{device}/proxy_ndp"


def _switch_on(device: str) -> None:
    before = sysctl.read(_switch(device))
    if before == "1" or before is None:
        return
    with files.locked("borrowed"):
        # Recorded before it is done: killed in between, what is put back is what is there.
        state = files.read_json(layout.BORROWED) or {}
        state.setdefault(_KEY, {}).setdefault(device, before)
        files.write_json(layout.BORROWED, state)
    sysctl.write(_switch(device), "1")


def _put_back(device: str) -> None:
    with files.locked("borrowed"):
        state = files.read_json(layout.BORROWED) or {}
        sysctl.write_where_present(_switch(device), state[_KEY].pop(device))
        files.write_json(layout.BORROWED, state)
