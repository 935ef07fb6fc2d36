# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at single things of nf_tables: a chain, its rules' comments, an element of a set (linux/netfilter/nf_tables.h).

Beside :mod:`nftables`, for libnftables reads whole tables with all elements of all their sets whatever it is asked for,
and pyroute2 does not ask for one element. Here the kernel is asked for what is meant, and what else there is costs
nothing. All of it belongs to the network namespace in which the calling thread is. What is not there is no error;
:class:`OSError` is raised where the kernel has no nf_tables.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_NETLINK_NETFILTER = 12  # linux/netlink.h
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP, _NLM_F_DUMP_INTR = 0x1, 0x300, 0x10
_SUBSYSTEM = 10 << 8  # linux/netfilter/nfnetlink.h, NFNL_SUBSYS_NFTABLES
_FAMILIES = {"inet": 1, "netdev": 5}  # linux/netfilter.h, NFPROTO_*
_HOOKS = {
    "inet": ("prerouting", "input", "forward", "output", "postrouting"),
    "netdev": ("ingress", "egress"),
}
"""By number: linux/netfilter.h."""
_POLICIES = ("drop", "accept")

# enum nf_tables_msg_types
_GET_TABLE, _GET_CHAIN, _GET_RULE, _GET_SET, _GET_ELEMENT = 1, 4, 7, 10, 13
# enum nft_*_attributes; the table is the first attribute of them all.
_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY = 1, 3, 4, 5
_RULE_CHAIN, _RULE_USERDATA = 2, 7
_SET_NAME = 2
_LIST_SET, _LIST_ELEMENTS, _LIST_ELEMENT = 2, 3, 1
_ELEMENT_KEY, _ELEMENT_DATA, _ELEMENT_USERDATA, _ELEMENT_KEY_END = 1, 2, 6, 10
_DATA_VALUE, _DATA_VERDICT, _VERDICT_CHAIN = 1, 2, 2
_HOOK_NUMBER = 1
_COMMENT = 0  # the user data's first kind (libnftnl/udata.h), for rules and elements alike

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_NFGEN = struct.Struct(">BBH")  # struct nfgenmsg: family, version, resource
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr: length, type
_NUMBER = struct.Struct(">I")
_NESTED = 0x8000
_KIND = 0x3FFF  # NLA_TYPE_MASK
_ROOM = 1 << 17
_AT_ONCE = 64  # the answers have to fit into a socket's usual buffer
_DUMP_TRIES = 10


class Chain(NamedTuple):
    """A chain: the hook at which it stands, and its policy (``accept``, ``drop``); empty for one that others call."""

    hook: str
    policy: str


class Element(NamedTuple):
    """What an element of a set or map says: its comment, and the chain that it leads to.

    :param value: what it leads to, if that is no chain, as packets have it.
    :param last: where it is a range, which begins with its key, the end of that.
    """

    comment: str
    chain: str
    value: bytes = b""
    last: bytes = b""


class Reader:
    """A socket, in the network namespace in which the calling thread is when it makes the object; a context manager.

    A table is named by its family and its name, as in ``inet jails``.

    :raises OSError: when this kernel has no netfilter.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        self._socket.connect((0, 0))
        self._sequence = itertools.count(1)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_ignored: object) -> None:
        self._socket.close()

    def has_table(self, table: str) -> bool:
        """Whether it is there."""
        return bool(self._ask([_message(_GET_TABLE, table)])[0])

    def chains(self, table: str, names: Iterable[str]) -> dict[str, Chain]:
        """Those of the chains with these names that are there."""
        wanted = list(names)
        answers = self._ask([_message(_GET_CHAIN, table, _string(_CHAIN_NAME, name)) for name in wanted])
        return {name: _chain(table, answer) for name, answer in zip(wanted, answers) if answer is not None}

    def chain_names(self, table: str) -> list[str]:
        """All chains."""
        return [_first_text(each, _CHAIN_NAME) for each in self._dump(_message(_GET_CHAIN, table), table)]

    def sets(self, table: str, names: Iterable[str]) -> set[str]:
        """Those of the sets and maps with these names that are there."""
        wanted = list(names)
        answers = self._ask([_message(_GET_SET, table, _string(_SET_NAME, name)) for name in wanted])
        return {name for name, answer in zip(wanted, answers) if answer is not None}

    def comments(self, table: str, chain: str) -> list[str]:
        """Of the rules of a chain, in order; an empty one for a rule without."""
        found = map(_attributes, self._dump(_message(_GET_RULE, table, _string(_RULE_CHAIN, chain)), table))
        return [_comment(rule.get(_RULE_USERDATA, b"")) for rule in found]

    def all_comments(self, table: str) -> list[str]:
        """Of the rules of all chains."""
        found = map(_attributes, self._dump(_message(_GET_RULE, table), table))
        return [_comment(rule.get(_RULE_USERDATA, b"")) for rule in found]

    def elements(self, table: str, keys: Sequence[tuple[str, bytes]]) -> list[Element | None]:
        """What there is of these elements, each given by its set and its key as packets have it."""
        answers = self._ask([_element_message(table, name, key) for name, key in keys])
        return [None if answer is None else next(_listed(answer))[1] for answer in answers]

    def all_elements(self, table: str, name: str) -> dict[bytes, Element]:
        """All elements of a set by key; none where there is no such set."""
        messages = self._dump(_message(_GET_ELEMENT, table, _string(_LIST_SET, name)), table)
        return dict(pair for message in messages for pair in _listed(message))

    def _ask(self, requests: Sequence[bytes]) -> list[bytes | None]:
        """Send questions, many at once, and give each one's answer; ``None`` where there is no such thing."""
        found: list[bytes | None] = []
        for at in range(0, len(requests), _AT_ONCE):
            numbered = [(next(self._sequence), request) for request in requests[at : at + _AT_ONCE]]
            self._socket.send(b"".join(_numbered(request, number, 0) for number, request in numbered))
            arriving = self._messages()
            for number, _request in numbered:
                kind, _flags, _number, body = next(each for each in arriving if each[2] == number)
                found.append(None if _is_missing(kind, body) else body)
        return found

    def _dump(self, request: bytes, table: str) -> list[bytes]:
        """What a list holds of this table; nothing where it is not there. It is read again if it changed meanwhile."""
        family = _FAMILIES[table.partition(" ")[0]]
        for _try in range(_DUMP_TRIES):
            number = next(self._sequence)
            self._socket.send(_numbered(request, number, _NLM_F_DUMP))
            found, interrupted = [], False
            for kind, flags, sequence, body in self._messages():
                if sequence != number:
                    continue  # of a list that was given up
                interrupted = interrupted or bool(flags & _NLM_F_DUMP_INTR)
                if kind == _NLMSG_DONE or _is_missing(kind, body):
                    break
                if body[0] == family and _first_text(body, _TABLE) == table.partition(" ")[2]:
                    found.append(body)
            if not interrupted:
                return found
        raise OSError(errno.EINTR, f"the table {table} changed while it was read, {_DUMP_TRIES} times")

    def _messages(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Type, flags, sequence and body of what arrives."""
        while True:
            data = self._socket.recv(_ROOM)
            at = 0
            while at < len(data):
                length, kind, flags, sequence, _port = _HEADER.unpack_from(data, at)
                yield kind, flags, sequence, data[at + _HEADER.size : at + length]
                at += _aligned(length)


def _is_missing(kind: int, body: bytes) -> bool:
    """Whether this says that there is no such thing.

    :raises OSError: when it says something else that is an error.
    """
    if kind != _NLMSG_ERROR:
        return False
    number = -int(struct.unpack_from("=i", body)[0])
    if number != errno.ENOENT:
        raise OSError(number, f"looking at nf_tables: {os.strerror(number)}")
    return True


def _message(kind: int, table: str, *attributes: bytes) -> bytes:
    """A question about a table, with a header that is still without number and flags."""
    family, _space, name = table.partition(" ")
    body = _NFGEN.pack(_FAMILIES[family], 0, 0) + _string(_TABLE, name) + b"".join(attributes)
    return _HEADER.pack(_HEADER.size + len(body), _SUBSYSTEM | kind, _NLM_F_REQUEST, 0, 0) + body


def _numbered(message: bytes, number: int, flags: int) -> bytes:
    length, kind, before, _number, port = _HEADER.unpack_from(message)
    return _HEADER.pack(length, kind, before | flags, number, port) + message[_HEADER.size :]


def _element_message(table: str, name: str, key: bytes) -> bytes:
    value = _attribute(_ELEMENT_KEY | _NESTED, _attribute(_DATA_VALUE, key))
    elements = _attribute(_LIST_ELEMENTS | _NESTED, _attribute(_LIST_ELEMENT | _NESTED, value))
    return _message(_GET_ELEMENT, table, _string(_LIST_SET, name), elements)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def _string(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode(errors="replace")


def _pairs(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind & _KIND, data[at + _ATTRIBUTE.size : at + length]
        at += max(_aligned(length), _ATTRIBUTE.size)


def _attributes(body: bytes) -> dict[int, bytes]:
    """Of a message, after its header of this subsystem."""
    return dict(_pairs(body[_NFGEN.size :]))


def _first_text(body: bytes, kind: int) -> str:
    """One of them, without reading those that follow it."""
    return next(_text(value) for found, value in _pairs(body[_NFGEN.size :]) if found == kind)


def _chain(table: str, body: bytes) -> Chain:
    found = _attributes(body)
    if _CHAIN_HOOK not in found:
        return Chain("", "")
    number = _NUMBER.unpack(dict(_pairs(found[_CHAIN_HOOK]))[_HOOK_NUMBER])[0]
    names = _HOOKS[table.partition(" ")[0]]
    policy = _NUMBER.unpack(found[_CHAIN_POLICY])[0]
    return Chain(names[number] if number < len(names) else str(number), _POLICIES[policy])


def _listed(body: bytes) -> Iterator[tuple[bytes, Element]]:
    """The elements that a message has, by key."""
    return (_element(each) for _kind, each in _pairs(_attributes(body).get(_LIST_ELEMENTS, b"")))


def _element(element: bytes) -> tuple[bytes, Element]:
    found = dict(_pairs(element))
    data = dict(_pairs(found.get(_ELEMENT_DATA, b"")))
    verdict = dict(_pairs(data.get(_DATA_VERDICT, b"")))
    key, last = (dict(_pairs(found.get(kind, b""))).get(_DATA_VALUE, b"") for kind in (_ELEMENT_KEY, _ELEMENT_KEY_END))
    chain = _text(verdict.get(_VERDICT_CHAIN, b""))
    return key, Element(_comment(found.get(_ELEMENT_USERDATA, b"")), chain, data.get(_DATA_VALUE, b""), last or key)


def _comment(data: bytes) -> str:
    """The comment in what nft keeps with a rule or an element: a byte of kind, one of length, the value, and so on."""
    at = 0
    while at + 2 <= len(data):
        if data[at] == _COMMENT:
            return _text(data[at + 2 : at + 2 + data[at + 1]])
        at += 2 + data[at + 1]
    return ""
