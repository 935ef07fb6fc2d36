# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Masquerading: the nftables table ``inet jails``, read and written by nft(8). No other table is touched.

Addresses stand in sets, so that a jail more or less leaves the rules alone; each has its jail's name as comment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..errors import JailError

_FAMILY, _TABLE = "inet", "jails"
_SETS = {4: "masquerade4", 6: "masquerade6"}
_BRIDGES = "bridges"
_CHAIN = "postrouting"

# Adding what is there changes nothing, and the chain is emptied and filled in the one transaction that `nft -f` makes.
_FRAME = f"""\
add table {_FAMILY} {_TABLE}
add set {_FAMILY} {_TABLE} {_SETS[4]} {{ type ipv4_addr; }}
add set {_FAMILY} {_TABLE} {_SETS[6]} {{ type ipv6_addr; }}
add set {_FAMILY} {_TABLE} {_BRIDGES} {{ type ifname; }}
add chain {_FAMILY} {_TABLE} {_CHAIN} {{ type nat hook postrouting priority srcnat; }}
flush chain {_FAMILY} {_TABLE} {_CHAIN}
add rule {_FAMILY} {_TABLE} {_CHAIN} ip saddr @{_SETS[4]} oifname != @{_BRIDGES} masquerade comment "{_SETS[4]}"
add rule {_FAMILY} {_TABLE} {_CHAIN} ip6 saddr @{_SETS[6]} oifname != @{_BRIDGES} masquerade comment "{_SETS[6]}"
"""


class Elements(NamedTuple):
    """What the sets hold."""

    addresses: Mapping[str, str]
    """The jail's name by the address, which has no prefix length."""
    bridges: frozenset[str]


EMPTY = Elements({}, frozenset())
"""No address and no bridge."""


def program() -> str:
    """The path of nft(8).

    :raises JailError: naming its package, when it is not there.
    """
    # A login without the system directories in PATH is common, and nft lives in one of them.
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    found = shutil.which("nft", path=path)
    if not found:
        raise JailError(
            "masquerading needs the program nft, which is not there",
            option="interfaces",
            advice="install it; Debian's package is nftables",
        )
    return found


def _nft(arguments: list[str], script: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program(), *arguments],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )


def _fail(answer: subprocess.CompletedProcess[str]) -> JailError:
    said = " ".join(answer.stderr.split()) or f"status {answer.returncode}"
    return JailError(f"nft refused the table {_FAMILY} {_TABLE}: {said}", option="interfaces")


def read() -> Elements | None:
    """What the sets hold; ``None`` when the table or any part of it is missing."""
    answer = _nft(["-j", "list", "table", _FAMILY, _TABLE])
    if answer.returncode:
        if "No such file or directory" in answer.stderr:
            return None
        raise _fail(answer)
    return _elements(json.loads(answer.stdout)["nftables"])


def _elements(objects: Iterable[Mapping[str, Any]]) -> Elements | None:
    """Read ``nft -j`` (libnftables-json(5))."""
    sets, rules, hook = {}, set(), None
    for kind, value in (pair for each in objects for pair in each.items()):
        if kind == "set":
            sets[value["name"]] = dict(map(_element, value.get("elem", ())))
        elif kind == "rule":
            rules.add(value.get("comment"))
        elif kind == "chain" and value["name"] == _CHAIN:
            hook = value.get("hook")
    if not sets.keys() >= {*_SETS.values(), _BRIDGES} or not rules >= set(_SETS.values()) or hook != "postrouting":
        return None
    return Elements({**sets[_SETS[4]], **sets[_SETS[6]]}, frozenset(sets[_BRIDGES]))


def _element(element: Any) -> tuple[str, str]:
    if isinstance(element, dict):
        return element["elem"]["val"], element["elem"].get("comment", "")
    return element, ""


def ensure(have: Elements | None, add: Elements, remove: Elements) -> None:
    """Have the table stand, and its sets changed by these elements; all of it at once or nothing.

    To give an address to another jail, put it into both.

    :param have: what :func:`read` gave: rules that stand stay, for replacing them takes the kernel ten times as long.
    """
    frame = [_FRAME] if have is None else []
    script = "".join((*frame, *_statements(remove, "add", "delete"), *_statements(add, "add")))
    answer = _nft(["-f", "-"], script)
    if answer.returncode:
        raise _fail(answer)


def _statements(elements: Elements, *verbs: str) -> Iterator[str]:
    # What is removed is added before, for nft before 1.0.7 has no "remove it if it is there".
    for address, jail in elements.addresses.items():
        which = _SETS[6 if ":" in address else 4]
        for verb in verbs:
            comment = f' comment "{jail}"' if jail and verb == "add" else ""
            yield f"{verb} element {_FAMILY} {_TABLE} {which} {{ {address}{comment} }}\n"
    for bridge in elements.bridges:
        for verb in verbs:
            yield f'{verb} element {_FAMILY} {_TABLE} {_BRIDGES} {{ "{bridge}" }}\n'


def remove_table() -> None:
    """Remove the table, if it is there."""
    answer = _nft(["-f", "-"], f"add table {_FAMILY} {_TABLE}\ndelete table {_FAMILY} {_TABLE}\n")
    if answer.returncode:
        raise _fail(answer)
