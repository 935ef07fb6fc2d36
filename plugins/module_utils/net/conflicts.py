# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes the interfaces of several jails impossible together. Pure: nothing here asks the kernel."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from .addresses import Interface, IPNetwork, carried, gateways, hosts, known
from .shapes import SHAPES


class Segment(NamedTuple):
    """Where an interface's neighbours are."""

    what: str
    """``bridge`` or ``device``; empty where the host is the only neighbour."""
    name: str


Place = tuple[Segment, IPNetwork]
Clash = tuple[str, str, str]


def segment(interface: Interface) -> Segment:
    """That of an interface. A device and what is routed to jails behind it are one."""
    if interface["bridge"]:
        return Segment("bridge", interface["bridge"])
    return Segment("device" if interface["parent"] else "", interface["parent"] or "")


def _called(where: Segment) -> str:
    return f"{where.what} {where.name}" if where.what else "the host's own routes"


def between(networks: Mapping[str, Sequence[Interface]]) -> dict[str, str]:
    """What makes the interfaces of several jails impossible together.

    :param networks: canonical interfaces by jail.
    :returns: for each jail concerned a sentence that names both jails; empty when all can run at once.
    """
    found: dict[str, str] = {}
    clashes = (
        _same_hosts(networks),
        _same_macs(networks),
        _same_devices(networks),
        _gateways_taken(networks),
        _overlaps(networks),
    )
    for one, other, sentence in itertools.chain.from_iterable(clashes):
        found.setdefault(one, sentence)
        found.setdefault(other, sentence)
    return found


def _each(networks: Mapping[str, Sequence[Interface]]) -> Iterator[tuple[str, Interface]]:
    for jail in sorted(networks):
        for interface in networks[jail]:
            yield jail, interface


def _same_hosts(networks: Mapping[str, Sequence[Interface]]) -> Iterator[Clash]:
    owner: dict[str, str] = {}
    for jail, interface in _each(networks):
        for host in hosts(interface):
            other = owner.setdefault(host, jail)
            if other != jail:
                yield other, jail, f"jails {other} and {jail} both have the address {host}"


def _same_macs(networks: Mapping[str, Sequence[Interface]]) -> Iterator[Clash]:
    owner: dict[str, str] = {}
    for jail, interface in _each(networks):
        other = owner.setdefault(interface["mac"], jail) if interface["mac"] else jail
        if other != jail:
            yield other, jail, f"jails {other} and {jail} both have the MAC address {interface['mac']}"


def _same_devices(networks: Mapping[str, Sequence[Interface]]) -> Iterator[Clash]:
    """A device that one jail has to itself, and another one uses: as a whole, below its own, or as a bridge."""
    users: dict[str, list[tuple[str, Interface]]] = {}
    for jail, interface in _each(networks):
        device = interface["parent"] or interface["bridge"]
        if device:
            users.setdefault(device, []).append((jail, interface))
    for device, found in users.items():
        owners = [jail for jail, interface in found if SHAPES[interface["type"]].alone]
        for owner, (jail, _interface) in itertools.product(owners, found):
            if owner != jail:
                one, other = sorted((owner, jail))
                yield one, other, f"jails {one} and {other} both want the device {device}, and {owner} all of it"


def _gateways_taken(networks: Mapping[str, Sequence[Interface]]) -> Iterator[Clash]:
    owner = {host: jail for jail, interface in _each(networks) for host in hosts(interface)}
    length: dict[tuple[Segment, str], tuple[str, str]] = {}
    for jail, interface in _each(networks):
        for gateway in [*gateways(interface), *carried(interface)]:
            host = gateway.partition("/")[0]
            if owner.get(host, jail) != jail:
                other = owner[host]
                yield other, jail, f"jail {other} has the address {host}, which is the gateway of jail {jail}"
            other, before = length.setdefault((segment(interface), host), (jail, gateway))
            if gateway != before:
                where = f"the gateway of {_called(segment(interface))}"
                yield other, jail, f"{where} is {before} for jail {other} and {gateway} for jail {jail}"


def _overlaps(networks: Mapping[str, Sequence[Interface]]) -> Iterator[Clash]:
    """Prefixes that overlap in different segments: the host could route them to one of the two only."""
    users: dict[Place, list[str]] = {}
    for jail, interface in _each(networks):
        for address in interface["addresses"]:
            users.setdefault((segment(interface), known(address).network), []).append(jail)
    order = list(users)
    for pair in _overlapping(users):
        one, other = sorted(pair, key=order.index)
        for first, second in itertools.product(users[one], users[other]):
            (here, prefix), (there, other_prefix) = one, other
            has = f"jail {first} has {prefix} on {_called(here)}"
            yield first, second, f"{has}, which overlaps {other_prefix} of jail {second} on {_called(there)}"


def _overlapping(places: Iterable[Place]) -> Iterator[tuple[Place, Place]]:
    """Those of different segments whose prefixes overlap: then one lies in the other, so that in the order of addresses
    all that a prefix lies in are before it, and none that has ended is looked at again."""
    around: list[Place] = []
    for place in sorted(places, key=_extent):
        prefix = place[1]
        while around and not _holds(around[-1][1], prefix):
            around.pop()
        yield from ((each, place) for each in around if each[0] != place[0])
        around.append(place)


def _extent(place: Place) -> tuple[int, int, int]:
    prefix = place[1]
    return prefix.version, int(prefix.network_address), prefix.prefixlen


def _holds(outer: IPNetwork, inner: IPNetwork) -> bool:
    return outer.version == inner.version and int(inner.network_address) <= int(outer.broadcast_address)
