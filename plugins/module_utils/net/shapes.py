# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user has to say, and cannot say, of an interface of each type. Pure: nothing here asks the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

USUAL_TYPE = "veth"
GATEWAY, GATEWAY6 = "169.254.1.1", "fe80::1"
"""What the host is called at its end of a routed interface for which the user names no gateway."""


class Shape(NamedTuple):
    """One type of interface.

    :param on_bridge: whether it is a port of a bridge.
    :param needs_parent: whether it is made of, or is, another device of the host.
    :param takes_parent: whether it can name one.
    :param by_host: whether what it sends passes the host's own filters: it has an end there.
    :param own_mac: whether it can have a MAC address that is not another device's.
    :param alone: whether nobody else can use its parent.
    """

    on_bridge: bool = False
    needs_parent: bool = False
    takes_parent: bool = False
    by_host: bool = False
    own_mac: bool = True
    alone: bool = False


SHAPES = {
    "veth": Shape(on_bridge=True, by_host=True),
    "routed": Shape(takes_parent=True, by_host=True),
    "macvlan": Shape(needs_parent=True, takes_parent=True),
    "ipvlan": Shape(needs_parent=True, takes_parent=True, own_mac=False),
    "phys": Shape(needs_parent=True, takes_parent=True, alone=True),
}
_BY_HOST_ONLY = ("masquerade", "isolate", "connections_max")
"""What the host does with packets that pass it."""


def check(value: Mapping[str, Any]) -> str:
    """The type of an interface, as a user describes it.

    :raises ValueError: when it is none of ours, or does not go with the other keys.
    """
    kind = USUAL_TYPE if value.get("type") is None else value["type"]
    if kind not in SHAPES:
        raise ValueError(f"type {kind!r} is none of {', '.join(SHAPES)}")
    shape = SHAPES[kind]
    if value.get("bridge") is not None and value.get("parent") is not None:
        raise ValueError(
            f"bridge {value['bridge']} and parent {value['parent']} exclude each other: an interface is a port of a "
            "bridge (type veth), or belongs to a device of the host (another type)"
        )
    if shape.on_bridge and value.get("bridge") is None:
        raise ValueError(f"type {kind} needs a bridge")
    for key, needed, taken in (
        ("bridge", False, shape.on_bridge),
        ("parent", shape.needs_parent, shape.takes_parent),
        ("mac", False, shape.own_mac),
    ):
        if needed and value.get(key) is None:
            raise ValueError(f"type {kind} needs a {key}: the device of the host that it belongs to")
        if not taken and value.get(key):
            raise ValueError(f"{key} {value[key]} does not go with type {kind}")
    for key in _BY_HOST_ONLY if not shape.by_host else ():
        if value.get(key):
            raise ValueError(f"{key} does not go with type {kind}: what it sends does not pass the host")
    return str(kind)


def check_lengths(kind: str, addresses: Iterable[Any]) -> None:
    """
    :raises ValueError: when one of these (from :mod:`ipaddress`) has a prefix length that the type cannot give it.
    """
    for address in addresses if kind == "routed" else ():
        if address.network.prefixlen != address.max_prefixlen:
            raise ValueError(
                f"address {address} is not for itself alone, as type routed needs it: the host routes single "
                f"addresses to the jail; write it as {address.ip}/{address.max_prefixlen}"
            )
