# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many neighbours a jail may ask for: a table of nf_tables in its own network namespace.

The kernel has one table of neighbours for all network namespaces (``net/ipv4/neigh/default/gc_thresh3`` and its like):
when one jail has asked for a thousand addresses that are not there, nobody else gets to a new one. What is sent is
looked up in it after the hook ``output``, and what that hook drops has no neighbour. Only the host changes the table,
unless the jail may configure its network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..kernel import namespaces, nfnetlink, nftables
from . import firewall
from .addresses import Interface

_TABLE, _CHAIN = "inet jails", "output"
# After ten seconds without an answer the kernel can use an entry's place for another.
_SECONDS = 10


_RULES = (
    "ip daddr 224.0.0.0/4 accept",  # a neighbour that nobody is asked for, and whose place can always be used
    "ip6 daddr ff00::/8 accept",
    "update @{chain}/4 {{ rt ip nexthop }} accept",
    "update @{chain}/6 {{ rt ip6 nexthop }} accept",
    "drop",
)


def read(namespace: int) -> dict[str, int]:
    """The numbers by interface, in the network namespace of this descriptor."""
    return _look(namespace)[1]


def _look(namespace: int) -> tuple[bool, dict[str, int]]:
    """Whether there is a table, and the numbers."""

    def look() -> tuple[bool, dict[str, int]]:
        with nfnetlink.Reader() as reader:
            chain = reader.chains(_TABLE, [_CHAIN]).get(_CHAIN)
            hooked = chain is not None and chain.hook == _CHAIN
            return reader.has_table(_TABLE), _limits(reader.all_comments(_TABLE)) if hooked else {}

    with namespaces.inside(namespace, "net"):
        return firewall.ask(look)


def _limits(comments: Sequence[str]) -> dict[str, int]:
    pairs = {comment: comment.partition(" ") for comment in comments}
    if any(comments.count(comment) != len(_RULES) + 1 or not pairs[comment][2].isdigit() for comment in comments):
        return {}  # rules of somebody else, or not all of ours
    return {name: int(number) for name, _space, number in pairs.values()}


def converge(namespace: int, wanted: Iterable[Interface]) -> None:
    """Have exactly these interfaces' numbers hold there."""
    limits = {interface["name"]: interface["neighbours_max"] for interface in wanted if interface["neighbours_max"]}
    there, found = _look(namespace)
    if found != limits:
        statements = [*([f"delete table {_TABLE}"] if there else []), *_statements(limits)]
        with namespaces.inside(namespace, "net"):
            firewall.ask(lambda: nftables.run("\n".join(statements)))


def _statements(limits: Mapping[str, int]) -> Iterator[str]:
    if limits:
        yield f"add table {_TABLE}"
        yield f"add chain {_TABLE} {_CHAIN} {{ type filter hook {_CHAIN} priority filter; }}"
    for name, number in limits.items():
        # An interface may have the name of something in the language.
        chain, comment = f"if-{name}", f'comment "{name} {number}"'
        for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
            size = f"size {number}; flags dynamic, timeout; timeout {_SECONDS}s;"
            yield f"add set {_TABLE} {chain}/{version} {{ type {kind}; {size} }}"
        yield f"add chain {_TABLE} {chain}"
        yield from (f"add rule {_TABLE} {chain} {rule.format(chain=chain)} {comment}" for rule in _RULES)
        yield f'add rule {_TABLE} {_CHAIN} oifname "{name}" jump {chain} {comment}'
