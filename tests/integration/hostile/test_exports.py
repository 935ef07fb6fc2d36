# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same archives in the place of an export's tree, by somebody who knows how to make its checksum right.

Whoever imports one gets a jail with whatever it holds, or a refusal and nothing. In either case the host is as it was.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.exports import exportfile
from ansible_collections.cellblock.jails.tests.integration.hostile import (
    test_attributes,
    test_headers,
    test_links,
    test_names,
    test_nodes,
    test_places,
)
from ansible_collections.cellblock.jails.tests.integration.support import hostile, sandbox
from ansible_collections.cellblock.jails.tests.integration.support.archives import BLOCK, Archive, extract_naively
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, module
from ansible_collections.cellblock.jails.tests.integration.support.hostile import Canary, Case

_MODULES = (test_attributes, test_headers, test_links, test_names, test_nodes, test_places)
CASES = [case for each in _MODULES for case in each.CASES if case.packed is bytes]

_NOT_LOOKED_FOR = {
    "many-times-the-same": "the control reads the archive by itself",
    "setuid": "who is no root does not come to the folder of the tree",
}
"""Cases whose control was done with the archive alone, and cannot be done with the export."""

_NAMES = ("path", "GNU.sparse.name")
_HEADERS_OF_HEADERS = b"xgLK"


class Tree(Archive):
    """An archive whose members are those of an export's tree, but for absolute names."""

    _adding = False

    def add(
        self, name: str, kind: bytes, content: bytes = b"", pax: Mapping[str, str] | None = None, **fields: Any
    ) -> None:
        """A member of any kind."""
        if kind == b"1":
            fields["linkname"] = _in_root(fields["linkname"])
        if pax is not None:
            pax = {key: _in_root(value) if key in _NAMES else value for key, value in pax.items()}
        self._adding = True
        super().add(_in_root(name), kind, content, pax, **fields)
        self._adding = False

    def raw(self, header: bytes, content: bytes = b"") -> None:
        """A header as it is, but for the name in it."""
        if not self._adding and header[:1] != b"/" and header[156:157] not in _HEADERS_OF_HEADERS:
            header = _renamed(header)
        super().raw(header, content)


def _in_root(name: str) -> str:
    return name if name.startswith("/") else f"root/{name}"


def _renamed(header: bytes) -> bytes:
    """A header with the folder of the tree before its name; one that has a right checksum has one again."""
    block, rest = bytearray(header[:BLOCK]), header[BLOCK:]
    right = _sum(block) == int(block[148:154].rstrip(b" \0") or b"0", 8)
    block[:100] = b"root/" + block[:95]
    if right:
        block[148:156] = b"%06o\0 " % _sum(block)
    return bytes(block) + rest


def _sum(block: bytearray) -> int:
    """The checksum of a header, in which its own field counts as blanks."""
    return sum(block) - sum(block[148:156]) + 8 * ord(" ")


def export_of(tree: bytes) -> bytes:
    """An export with this as its tree."""
    content = exportfile.header({"template": "skeleton-0", "desired": {}}) + tree
    return content + exportfile.trailer(hashlib.sha256(content).hexdigest())


def filled(case: Case, canary: Canary) -> bytes:
    """The archive of a case."""
    tree = Tree()
    if not case.first and not case.alone:
        tree.base()
    case.fill(tree, canary)
    if case.first:
        tree.base()
    return tree.finish()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_hostile_trees(case: Case, name: str) -> None:
    """Who believes the archive comes to harm; see :mod:`..support.hostile`. An import does not, and leaves what it has
    unpacked in the one directory, or nothing."""
    with hostile._place() as place:
        canary = Canary(place / "canary")
        canary.put()
        tree = filled(case, canary)
        (place / "archive").write_bytes(tree)
        naive = extract_naively(place / "archive", place / "naive")
        if case.name not in _NOT_LOOKED_FOR:
            assert case.effect(naive._replace(root=naive.root / "root"), canary), "the control does no harm"
        canary.put()
        (place / "export").write_bytes(export_of(tree))
        before = canary.state(), hostile._host()
        result = attempt("jail_import", name=name, src=str(place / "export"))
        assert (canary.state(), hostile._host()) == before
        message = str(result.get("msg", ""))
        assert not hostile._CONTROL.search(message)
        if result.get("failed"):
            assert message.startswith(f"{name}: ")
            assert not os.path.exists(layout.desired(name))
            assert os.listdir(layout.STORAGE) == []
        else:
            assert os.listdir(layout.STORAGE) == [name]
            assert sorted(os.listdir(layout.storage(name))) == ["imported.json", "root", "storage.json"]
            module("jail_state", name=[name], state="absent")
            assert (canary.state(), hostile._host()) == before
        assert os.listdir(layout.STORAGE) == []
        assert not sandbox.mount_points()
