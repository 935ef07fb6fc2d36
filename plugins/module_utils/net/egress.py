# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What interfaces that do not pass the host are kept to in the jail itself: the rules of :mod:`ingress`, where packets
leave its devices.

They stand at the hook ``egress`` (nft(8)) of the jail's network namespace, which only the host changes, unless the jail
may configure its network. It sees all that is sent, also from packet sockets that pass the queue by
(PACKET_QDISC_BYPASS, packet(7)). Such a socket says of what protocol its frame is, which no frame does that comes in
from a wire: it has to be the one that is in the frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..kernel import namespaces, nfnetlink, nftables
from . import firewall, ingress
from .addresses import Interface
from .ingress import SHARED, Filter, Rules

_TABLE = "netdev jails"
_HONEST = "protocol"
_TYPES = {"ip": "0x0800", "arp": "0x0806", "ip6": "0x86dd"}


def _chain_of(interface: str) -> str:
    """An interface may have the name of something in the language."""
    return f"if-{interface}"


def describe(namespace: int, interfaces: Sequence[tuple[Interface, str]]) -> list[Interface]:
    """Interfaces with the switches that what stands there shows; each comes with the MAC address that it sends from."""
    filters = _filters(namespace) if interfaces else {}
    found: list[Interface] = []
    for interface, mac in interfaces:
        shown = ingress.describe(_chain_of(interface["name"]), {**interface, "mac": mac}, filters)
        found.append({**shown, "mac": interface["mac"], "connections_max": 0})
    return found


def _filters(namespace: int) -> dict[str, Filter]:
    """What stands, by chain, as the rules of :mod:`ingress` would; nothing of a chain that lets frames lie."""

    def look() -> dict[str, Filter]:
        with nfnetlink.Reader() as reader:
            chains = reader.chains(_TABLE, reader.chain_names(_TABLE))
            return {name: _filter(chain, reader.comments(_TABLE, name)) for name, chain in chains.items()}

    with namespaces.inside(namespace, "net"):
        return firewall.ask(look)


def _filter(chain: Any, comments: Sequence[str]) -> Filter:
    if not chain.hook:
        return Filter(ingress.NONE, tuple(comments))
    honest = chain.hook == "egress" and list(comments[: len(_TYPES)]) == [_HONEST] * len(_TYPES)
    return Filter(chain.policy, tuple(comments[len(_TYPES) :])) if honest else Filter("", ())


def converge(namespace: int, wanted: Sequence[Interface], made: bool) -> None:
    """Have exactly what these interfaces need there, before they are up.

    :param wanted: with the MAC addresses that they are to send from.
    :param made: whether one of them is new: whether what stood at one of its name stands there too is the kernel's
        secret (until Linux 6.16 it does not).
    """
    there = _filters(namespace)
    needed: dict[str, Rules] = dict(SHARED) if wanted else {}
    for interface in wanted:
        needed.update(ingress.rules(_chain_of(interface["name"]), interface))
    if not made and there.keys() == needed.keys() and all(each.stands_as(there[name]) for name, each in needed.items()):
        return
    statements = [f"add table {_TABLE}", f"delete table {_TABLE}"] if there else []
    statements += list(_statements(wanted)) if wanted else []
    if statements:
        with namespaces.inside(namespace, "net"):
            firewall.ask(lambda: nftables.run("\n".join(statements)))


def _statements(wanted: Sequence[Interface]) -> Iterator[str]:
    yield f"add table {_TABLE}"
    for name, rules in SHARED.items():
        yield from _filled(name, "", {}, rules)
    for interface in wanted:
        chain = _chain_of(interface["name"])
        # First those that are called.
        for name, rules in reversed(list(ingress.rules(chain, interface).items())):
            if name == chain:
                device = f'device "{interface["name"]}"'
                hook = f"{{ type filter hook egress {device} priority -500; policy {rules.policy}; }}"
                yield from _filled(name, hook, _TYPES, rules)
            else:
                yield from _filled(name, "", {}, rules)


def _filled(name: str, hook: str, types: Mapping[str, str], rules: Rules) -> Iterator[str]:
    yield f"add chain {_TABLE} {name} {hook}"
    for protocol, number in types.items():
        yield f'add rule {_TABLE} {name} meta protocol {protocol} @ll,96,16 != {number} drop comment "{_HONEST}"'
    for text, comment in zip(rules.texts, rules.comments):
        yield f'add rule {_TABLE} {name} {text} comment "{comment}"'
