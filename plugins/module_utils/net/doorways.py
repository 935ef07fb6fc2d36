# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the table ``inet jails`` that leads from the host's ports into jails: read, changed in one transaction.

Ports stand in maps, so that one more or less leaves the rules alone, and with them all connections: a rule of NAT sees
the first packet of each only. Each element has its jail's name as comment.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..kernel import nfnetlink, nftables
from ..kernel.nfnetlink import Element
from . import firewall
from .firewall import Chain
from .publish import Door, Reach, Target

_TABLE = f"inet {firewall.NAME}"
_EVERYWHERE, _AT, _TO, _NEAR = "published", "published_at", "published_to", "published_near"
LOCALNET = "localnet"
"""The bridges by which packets of 127/8 may be routed."""

_PORT = "inet_proto . inet_service"
_NUMBERS = {6: "tcp", 17: "udp", 132: "sctp"}
_ADDRESSES = {4: ("ip", "ipv4_addr"), 6: ("ip6", "ipv6_addr")}
_SETS = {
    LOCALNET: "set {} {{ type ifname; }}",
    **{
        f"{name}{version}": text
        for version, (_word, kind) in _ADDRESSES.items()
        for name, text in (
            (_EVERYWHERE, f"map {{}} {{{{ type {_PORT} : {kind} . inet_service; }}}}"),
            (_AT, f"map {{}} {{{{ type {kind} . {_PORT} : {kind} . inet_service; }}}}"),
            (_TO, f"set {{}} {{{{ type {kind}; }}}}"),
            (_NEAR, f"set {{}} {{{{ type {kind} . {kind}; flags interval; }}}}"),
        )
    },
}


def _ways(only: Mapping[int, str]) -> dict[str, str]:
    """Rules that lead to jails what is for the host, by comment."""
    found = {}
    for version, (word, _kind) in _ADDRESSES.items():
        local, to = f"{only.get(version, '')}fib daddr type local", f"dnat {word} to"
        found[f"{_AT}{version}"] = f"{local} {to} {word} daddr . meta l4proto . th dport map @{_AT}{version}"
        found[f"{_EVERYWHERE}{version}"] = f"{local} {to} meta l4proto . th dport map @{_EVERYWHERE}{version}"
    return found


def _backs() -> dict[str, str]:
    """Rules by which answers come back to the host: from a jail that would send them elsewhere, or nowhere."""
    found = {}
    for version, (word, _kind) in _ADDRESSES.items():
        own = f"{word} daddr @{_TO}{version} fib saddr type local"
        found[f"{_TO}{version}"] = f"{own} ct status dnat masquerade"
        found[f"{_NEAR}{version}"] = f"{word} saddr . {word} daddr @{_NEAR}{version} ct status dnat masquerade"
    return found


_CHAINS = {
    # From elsewhere nobody reaches what is published on the host's loopback, whatever the kernel would let in.
    "published_in": Chain(
        "type nat hook prerouting priority dstnat;",
        _EVERYWHERE,
        _ways({4: "ip daddr != 127.0.0.0/8 ", 6: "ip6 daddr != ::1 "}),
    ),
    "published_out": Chain("type nat hook output priority -100;", _EVERYWHERE, _ways({})),
    # Before other masquerading.
    "published_back": Chain("type nat hook postrouting priority srcnat - 1;", _EVERYWHERE, _backs()),
    # Where 127/8 may be routed the kernel takes it from the wire too (CVE-2020-8558). As it came, before any NAT.
    "published_loopback": Chain(
        "type filter hook prerouting priority raw;",
        _EVERYWHERE,
        {
            "to": f"iifname @{LOCALNET} ip daddr 127.0.0.0/8 drop",
            "from": f"iifname @{LOCALNET} ip saddr 127.0.0.0/8 drop",
        },
    ),
}


class Entry(NamedTuple):
    """What an element says: whose it is, and where it leads."""

    jail: str
    target: str = ""


Sets = dict[str, dict[str, Entry]]
"""Entries by element, by set."""


class There(NamedTuple):
    """What is there."""

    declared: set[str]
    standing: set[str]
    """The chains that are whole."""
    sets: Sets

    def is_whole(self) -> bool:
        """Whether all chains stand."""
        return self.standing >= _CHAINS.keys()

    def doors(self, jail: str) -> dict[Door, Target]:
        """What leads to this jail."""
        return {
            _door(name, element): _target(entry.target)
            for name, entries in self.sets.items()
            for element, entry in entries.items()
            if entry.target and entry.jail == jail
        }

    def holds(self, wanted: Sets) -> bool:
        """Whether these elements are there."""
        return all(
            self.sets[name].get(element) == entry for name, each in wanted.items() for element, entry in each.items()
        )


def elements(jail: str, reach: Reach) -> Sets:
    """What is there for one jail."""
    found: Sets = {name: {} for name in _SETS}
    for door, target in reach.doors.items():
        where = [door.address] if door.address else []
        element = " . ".join([*where, door.protocol, str(door.port)])
        name = f"{_AT if door.address else _EVERYWHERE}{door.version}"
        found[name][element] = Entry(jail, f"{target.address} . {target.port}")
    for address, networks in reach.near.items():
        version = ipaddress.ip_address(address).version
        found[f"{_TO}{version}"][address] = Entry(jail)
        for network in networks:
            found[f"{_NEAR}{version}"][f"{_shortened(network)} . {address}"] = Entry(jail)
    for bridge in reach.loopback.get(4, ()):
        found[LOCALNET][bridge] = Entry("")
    return found


def _shortened(network: str) -> str:
    """As nft shows it: without the length of a single address."""
    parsed = ipaddress.ip_network(network)
    return str(parsed.network_address) if parsed.prefixlen == parsed.max_prefixlen else network


def _door(name: str, element: str) -> Door:
    words = element.split(" . ")
    return Door(int(name[-1]), words[-2], words[0] if len(words) > 2 else "", int(words[-1]))


def _target(text: str) -> Target:
    address, _dot, port = text.partition(" . ")
    return Target(address, int(port))


def read() -> There:
    """What is there; nothing where nothing is published."""

    def look() -> There:
        with nfnetlink.Reader() as reader:
            declared = reader.sets(_TABLE, _SETS)
            return There(
                declared,
                firewall.standing(reader, _CHAINS),
                {name: _entries_of(name, reader.all_elements(_TABLE, name)) for name in _SETS},
            )

    return firewall.ask(look)


def _entries_of(name: str, there: Mapping[bytes, Element]) -> dict[str, Entry]:
    return {
        _key(name, key, element.last): Entry(element.comment, _value(element.value)) for key, element in there.items()
    }


def _key(name: str, key: bytes, last: bytes) -> str:
    """The words of an element. In packets' form each part of it is filled up to four bytes."""
    if name == LOCALNET:
        return key.partition(b"\0")[0].decode(errors="replace")
    if name.startswith(_TO):
        return str(ipaddress.ip_address(key))
    if name.startswith(_NEAR):
        half = len(key) // 2
        first, end = (ipaddress.ip_address(each[:half]) for each in (key, last))
        networks = ipaddress.summarize_address_range(first, end)
        return f"{'-'.join(_shortened(str(each)) for each in networks)} . {ipaddress.ip_address(key[half:])}"
    address = [str(ipaddress.ip_address(key[:-8]))] if name.startswith(_AT) else []
    number = key[-8]
    return " . ".join([*address, _NUMBERS.get(number, str(number)), str(_port_of(key))])


def _value(value: bytes) -> str:
    return f"{ipaddress.ip_address(value[:-4])} . {_port_of(value)}" if value else ""


def _port_of(data: bytes) -> int:
    return int.from_bytes(data[-4:-2], "big")


def give(there: There, jail: str, reach: Reach) -> None:
    """Have there what a jail's forwards need, and nothing else of it; :class:`There` is kept true."""
    wanted = elements(jail, reach)
    take = {
        name: [
            element
            for element, entry in entries.items()
            if (entry.jail == jail and wanted[name].get(element) != entry)
            or (element in wanted[name] and entry != wanted[name][element])
        ]
        for name, entries in there.sets.items()
        if name != LOCALNET
    }
    put = {
        name: {element: entry for element, entry in each.items() if there.sets[name].get(element) != entry}
        for name, each in wanted.items()
    }
    _change(there, take, put, missing=set(_CHAINS) - there.standing if reach.doors else set())


def take_all_but(there: There, jails: Iterable[str], bridges: Iterable[str]) -> None:
    """Have there nothing but what is of these jails, and by which 127/8 is routed."""
    kept, by = {*jails}, {*bridges}
    take = {
        name: [element for element, entry in entries.items() if entry.jail not in kept]
        for name, entries in there.sets.items()
        if name != LOCALNET
    }
    take[LOCALNET] = [bridge for bridge in there.sets[LOCALNET] if bridge not in by]
    _change(there, take, {}, missing=set())


def remove(there: There) -> None:
    """Have nothing there."""
    if not there.declared and not there.standing:
        return
    script = [line for name in _CHAINS for line in firewall.without(f"{_TABLE} {name}")]
    script += [f"delete {_SETS[name].split()[0]} {_TABLE} {name}" for name in sorted(there.declared)]
    _run(script)
    there.declared.clear()
    there.standing.clear()
    for entries in there.sets.values():
        entries.clear()


def _change(
    there: There, take: Mapping[str, list[str]], put: Mapping[str, Mapping[str, Entry]], missing: set[str]
) -> None:
    lines = {name: line for name, line in _SETS.items() if name not in there.declared} if any(put.values()) else {}
    _run(
        [
            *([f"add table {_TABLE}"] if lines or missing else []),
            *(f"add {line.format(f'{_TABLE} {name}')}" for name, line in lines.items()),
            *(f"delete element {_TABLE} {name} {{ {_joined(name, each)} }}" for name, each in take.items() if each),
            *(f"add element {_TABLE} {name} {{ {_entries(name, each)} }}" for name, each in put.items() if each),
            *(line for name in sorted(missing) for line in firewall.whole(name, _CHAINS[name])),
        ]
    )
    there.declared.update(lines)
    there.standing.update(missing)
    for name, gone in take.items():
        for element in gone:
            del there.sets[name][element]
    for name, entries in put.items():
        there.sets[name].update(entries)


def _run(script: list[str]) -> None:
    if script:
        firewall.ask(lambda: nftables.run("".join(f"{line}\n" for line in script)))


def _joined(name: str, keys: Iterable[str]) -> str:
    return ", ".join(_quoted(name, key) for key in keys)


def _quoted(name: str, key: str) -> str:
    return f'"{key}"' if name == LOCALNET else key


def _entries(name: str, entries: Mapping[str, Entry]) -> str:
    return ", ".join(_entry(_quoted(name, key), entry) for key, entry in entries.items())


def _entry(key: str, entry: Entry) -> str:
    comment = f' comment "{entry.jail}"' if entry.jail else ""
    return f"{key}{comment}{f' : {entry.target}' if entry.target else ''}"
