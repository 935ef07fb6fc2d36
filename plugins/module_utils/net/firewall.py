# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's tables of nf_tables that are ours: looked at, compared, and changed in one transaction. No other is
touched.

``inet jails`` has what is decided by address: masquerading, isolation, and how many connections are tracked. Addresses
stand in sets, so that a jail more or less leaves the rules alone; each has its jail's name as comment. ``netdev jails``
has chains for each interface, at its host's end (:mod:`ingress`). The two have one name, for the hook at a device
knows frames that are not IP in a table of the family netdev alone.

What is there is looked at by chain and by element, for what concerns a jail: the cost does not grow with the others.
"""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from ..errors import JailError
from ..kernel import nfnetlink, nftables
from . import ingress
from .ingress import Filter, Rules

NAME = "jails"
_INET, _NETDEV = f"inet {NAME}", f"netdev {NAME}"
MASQUERADE, ISOLATED, OPENED, PACED = "masquerade", "isolated", "opened", "paced"
"""The names of sets, without the 4 or 6 of the addresses that are in them."""
BRIDGES = "bridges"
_IFNAMSIZ = 16

_ADDRESSES = {"4": "ipv4_addr", "6": "ipv6_addr"}
_MANY = "size 16384; flags dynamic, timeout;"
_PACE = "limit rate over 12/second burst 128 packets"
_TYPES = {
    **{f"{MASQUERADE}{each}": f"set {{}} {{{{ type {kind}; }}}}" for each, kind in _ADDRESSES.items()},
    **{f"{ISOLATED}{each}": f"set {{}} {{{{ type {kind}; }}}}" for each, kind in _ADDRESSES.items()},
    **{f"{PACED}{each}": f"set {{}} {{{{ type {kind}; }}}}" for each, kind in _ADDRESSES.items()},
    **{f"{OPENED}{each}": f"map {{}} {{{{ type {kind} : verdict; }}}}" for each, kind in _ADDRESSES.items()},
    BRIDGES: "set {} {{ type ifname; }}",
}


# Filled by the kernel: whom jails reach through the host, and how fast each of them has found others.
_FOUND = {
    f"{name}{each}": f"set {{}} {{{{ type {kind}; {_MANY} timeout {seconds}s; }}}}"
    for each, address in _ADDRESSES.items()
    for name, kind, seconds in (("met", f"{address} . {address}", 10), ("pace", address, 60))
}


class Chain(NamedTuple):
    """One of those by which packets come into the table."""

    hook: str
    needed_by: str
    """The set without whose elements it does nothing."""
    rules: Mapping[str, str]
    """By comment."""


_CHAINS = {
    "postrouting": Chain(
        "type nat hook postrouting priority srcnat;",
        MASQUERADE,
        {
            f"{MASQUERADE}4": f"ip saddr @{MASQUERADE}4 oifname != @{BRIDGES} masquerade",
            f"{MASQUERADE}6": f"ip6 saddr @{MASQUERADE}6 oifname != @{BRIDGES} masquerade",
        },
    ),
    # By way of the host's router: within a bridge its ports see to it.
    "forward": Chain(
        "type filter hook forward priority filter - 10;",
        ISOLATED,
        {
            # What the host leads into a jail is open to its neighbours too: replies are such a pair of addresses.
            "led": "ct status dnat accept",
            f"{ISOLATED}4": f"ip saddr @{ISOLATED}4 ip daddr @{ISOLATED}4 drop",
            f"{ISOLATED}6": f"ip6 saddr @{ISOLATED}6 ip6 daddr @{ISOLATED}6 drop",
        },
    ),
    # The host asks for the neighbours of what it forwards: the kernel's table of them is one for all.
    "neighbours": Chain(
        "type filter hook forward priority filter - 5;",
        PACED,
        {
            comment: text
            for each, word, groups in (("4", "ip", "224.0.0.0/4"), ("6", "ip6", "ff00::/8"))
            for comment, text in (
                # Seen here where IP's hooks see what a bridge carries; nobody asks for such a neighbour.
                (f"groups{each}", f"{word} daddr {groups} accept"),
                (f"met{each}", f"{word} saddr @{PACED}{each} {word} saddr . rt {word} nexthop @met{each} accept"),
                (f"pace{each}", f"{word} saddr @{PACED}{each} add @pace{each} {{ {word} saddr {_PACE} }} drop"),
                (f"meets{each}", f"{word} saddr @{PACED}{each} add @met{each} {{ {word} saddr . rt {word} nexthop }}"),
            )
        },
    ),
    # After a packet has got its connection, which is forgotten with it: only one that is let through is entered.
    "prerouting": Chain(
        "type filter hook prerouting priority mangle;",
        OPENED,
        {f"{OPENED}4": f"ip saddr vmap @{OPENED}4", f"{OPENED}6": f"ip6 saddr vmap @{OPENED}6"},
    ),
}

T = TypeVar("T")


class Entry(NamedTuple):
    """What an element of a set says.

    :param jail: whose it is.
    :param device: the chain that a packet goes to, in a map.
    """

    jail: str
    device: str = ""


Sets = dict[str, dict[str, Entry]]
"""Entries by element, by set."""


class Tables(NamedTuple):
    """What is there of what was asked for."""

    declared: set[str]
    """The sets that are there."""
    standing: set[str]
    """The chains of :data:`_CHAINS` that are whole."""
    sets: Sets
    counts: dict[str, int]
    """How many connections may be opened, by the name of the host's end."""
    filters: dict[str, Filter]
    """By chain: those of host's ends, and those that they call."""


class Change(NamedTuple):
    """What is to be different.

    :param chains: those of :data:`_CHAINS` that have to stand.
    :param put: entries to add, by element, by set.
    :param take: elements to remove, before that, by set.
    :param counts: how many connections may be opened, by host's end.
    :param uncounted: host's ends whose connections are not to be counted any more.
    :param filters: what should stand, by chain, by host's end.
    :param forget: chains that should not be there, likewise: each after those that call it.
    """

    chains: Iterable[str]
    put: Mapping[str, Mapping[str, Entry]]
    take: Mapping[str, Iterable[str]]
    counts: Mapping[str, int]
    uncounted: Iterable[str]
    filters: Mapping[str, Mapping[str, Rules]]
    forget: Iterable[str]


def set_of(kind: str, address: str) -> str:
    """The name of the set for an address."""
    return f"{kind}{6 if ':' in address else 4}"


def chains_for(sets: Iterable[str]) -> set[str]:
    """Those of :data:`_CHAINS` that elements of these sets need."""
    names = list(sets)
    return {chain for chain, each in _CHAINS.items() if any(name.startswith(each.needed_by) for name in names)}


def check() -> None:
    """
    :raises JailError: when the library is not there.
    """
    ask(nftables.load)


def exists() -> bool:
    """Whether there is a table of ours."""
    try:
        with nfnetlink.Reader() as reader:
            return reader.has_table(_INET) or reader.has_table(_NETDEV)
    except OSError:
        return False  # who should have made it, where the kernel has no such tables?


def ask(what: Callable[[], T]) -> T:
    """Do something with the library, and tell its errors in our way."""
    try:
        return what()
    except nftables.RefusedError as error:
        raise JailError(f"nft refused the tables {NAME}: {error.strerror}", option="interfaces") from error
    except OSError as error:
        if error.errno is None:  # of dlopen(3)
            raise JailError(
                f"jails with interfaces need the library of nftables, which cannot be loaded: {error}",
                option="interfaces",
                advice="install it; Debian's package is nftables",
            ) from error
        raise JailError(
            f"the kernel lets nobody filter packets: {error.strerror}",
            option="interfaces",
            advice="it needs nf_tables (CONFIG_NF_TABLES, CONFIG_NF_TABLES_NETDEV)",
        ) from error


def show(what: str) -> list[dict[str, Any]]:
    """What ``nft -j list`` says; nothing of what is not there. It costs what all jails have there."""
    found: list[dict[str, Any]] = ask(lambda: nftables.show(what) or [])
    return found


def read(devices: Iterable[str], elements: Mapping[str, Iterable[str]]) -> Tables:
    """What is there of these host's ends and of these elements, by set, and what all jails have in common; nothing
    where there are no such tables."""
    ends = list(devices)

    def look() -> Tables:
        with nfnetlink.Reader() as reader:
            return Tables(
                declared=reader.sets(_INET, [*_TYPES, *_FOUND]),
                standing=standing(reader, _CHAINS),
                sets=_entries(reader, elements),
                counts=_counts(reader, ends),
                filters=_filters(reader, ends),
            )

    return ask(look)


def standing(reader: nfnetlink.Reader, chains: Mapping[str, Chain]) -> set[str]:
    """Those of these chains of the table ``inet jails`` that are whole."""
    there = reader.chains(_INET, chains)
    return {
        name
        for name, chain in chains.items()
        if name in there and f" {there[name].hook} " in chain.hook and reader.comments(_INET, name) == list(chain.rules)
    }


def _entries(reader: nfnetlink.Reader, elements: Mapping[str, Iterable[str]]) -> Sets:
    found: Sets = {name: {} for name in _TYPES}
    asked = [(name, element) for name, each in elements.items() for element in each]
    answers = reader.elements(_INET, [(name, _key(name, element)) for name, element in asked])
    for (name, element), answer in zip(asked, answers):
        if answer:
            found[name][element] = Entry(answer.comment, answer.chain)
    return found


def _key(name: str, element: str) -> bytes:
    """An element as packets have it."""
    return element.encode().ljust(_IFNAMSIZ, b"\0") if name == BRIDGES else ipaddress.ip_address(element).packed


def _counts(reader: nfnetlink.Reader, devices: Iterable[str]) -> dict[str, int]:
    said = {device: reader.comments(_INET, device) for device in devices}
    return {device: int(each[0]) for device, each in said.items() if len(each) == 1 and each[0].isdigit()}


def _filters(reader: nfnetlink.Reader, devices: Iterable[str]) -> dict[str, Filter]:
    there = reader.chains(_NETDEV, [*ingress.SHARED, *(chain for each in devices for chain in ingress.chains(each))])
    return {
        name: Filter(chain.policy if chain.hook == "ingress" else ingress.NONE, tuple(reader.comments(_NETDEV, name)))
        for name, chain in there.items()
    }


def chain_names() -> set[str]:
    """All chains, of both tables."""

    def look() -> set[str]:
        with nfnetlink.Reader() as reader:
            return {*reader.chain_names(_INET), *reader.chain_names(_NETDEV)}

    return ask(look)


def leading_to(chains: Iterable[str]) -> dict[str, list[str]]:
    """All elements of maps that lead to one of these chains, by map."""
    targets = set(chains)

    def look() -> dict[str, list[str]]:
        with nfnetlink.Reader() as reader:
            found = {}
            for version in _ADDRESSES:
                there = reader.all_elements(_INET, f"{OPENED}{version}").items()
                found[f"{OPENED}{version}"] = [
                    str(ipaddress.ip_address(key)) for key, element in there if element.chain in targets
                ]
            return found

    return ask(look)


def change(have: Tables, wanted: Change) -> None:
    """Make it so, all of it at once or nothing; what is so already is left alone, for taking a rule away takes the
    kernel ten times as long as adding one."""
    script = "".join(f"{statement}\n" for statement in _statements(have, wanted))
    if script:
        ask(lambda: nftables.run(script))


def _statements(have: Tables, wanted: Change) -> Iterator[str]:
    missing = sorted(set(wanted.chains) - have.standing)
    if missing or wanted.counts or any(wanted.put.values()):
        yield from _declarations(have.declared)
    for name, elements in wanted.take.items():
        yield from (f"delete element {_INET} {name} {{ {_quoted(name, each)} }}" for each in elements)
    for device in {*wanted.forget, *wanted.uncounted} & have.counts.keys():
        yield from without(f"{_INET} {device}")
    for device, number in wanted.counts.items():
        yield f"add chain {_INET} {device}"
        yield f"flush chain {_INET} {device}"
        yield f'add rule {_INET} {device} ct state new ct count over {number} drop comment "{number}"'
    for name, entries in wanted.put.items():
        yield from (f"add element {_INET} {name} {{ {_entry(name, *pair)} }}" for pair in entries.items())
    for name in missing:
        yield from whole(name, _CHAINS[name])
    yield from _ingress(have, wanted.filters)
    for chain in wanted.forget:
        # Made before it is removed: until Linux 6.16 one at a hook went with its device.
        yield from without(f"{_NETDEV} {chain}") if chain in have.filters else ()


def _declarations(there: set[str]) -> Iterator[str]:
    lines = {name: line for name, line in {**_TYPES, **_FOUND}.items() if name not in there}
    if lines:
        yield f"add table {_INET}"
    yield from (f"add {line.format(f'{_INET} {name}')}" for name, line in lines.items())


def whole(name: str, chain: Chain) -> Iterator[str]:
    """Statements that make a chain of the table ``inet jails`` anew."""
    yield f"add chain {_INET} {name} {{ {chain.hook} }}"
    yield f"flush chain {_INET} {name}"
    for comment, text in chain.rules.items():
        yield f'add rule {_INET} {name} {text} comment "{comment}"'


def _ingress(have: Tables, filters: Mapping[str, Mapping[str, Rules]]) -> Iterator[str]:
    if not filters:
        return
    yield f"add table {_NETDEV}"
    shared = {name: rules for name, rules in ingress.SHARED.items() if not rules.stands_as(have.filters.get(name))}
    for name, rules in shared.items():
        yield from _filled(name, "", rules)
    for device, chains in filters.items():
        hook = f'type filter hook ingress device "{device}" priority -500;'
        # First those that are called.
        for name, rules in reversed(list(chains.items())):
            if not rules.stands_as(have.filters.get(name)):
                yield from _filled(name, f"{{ {hook} policy {rules.policy}; }}" if name == device else "", rules)


def _filled(name: str, hook: str, rules: Rules) -> Iterator[str]:
    yield f"add chain {_NETDEV} {name} {hook}"
    yield f"flush chain {_NETDEV} {name}"
    for text, comment in zip(rules.texts, rules.comments):
        yield f'add rule {_NETDEV} {name} {text} comment "{comment}"'


def without(chain: str) -> Iterator[str]:
    """Statements after which a chain is not there, whether it was or not."""
    yield f"add chain {chain}"
    yield f"flush chain {chain}"
    yield f"delete chain {chain}"


def _quoted(name: str, element: str) -> str:
    return f'"{element}"' if name == BRIDGES else element


def _entry(name: str, element: str, entry: Entry) -> str:
    comment = f' comment "{entry.jail}"' if entry.jail else ""
    target = f" : jump {entry.device}" if entry.device else ""
    return f"{_quoted(name, element)}{comment}{target}"


def remove_tables() -> None:
    """Remove them, if they are there."""
    for table in (_INET, _NETDEV):
        try:
            nftables.run(f"delete table {table}")
        except nftables.RefusedError as error:
            if error.errno != errno.ENOENT:
                raise JailError(f"nft refused to remove the table {table}: {error.strerror}") from error
