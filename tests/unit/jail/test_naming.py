# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jails a jail is told of, and at which addresses."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import naming
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import parse_interfaces


def _said(name: str, *interfaces: dict[str, Any], names: bool = False) -> naming.Said:
    usual: dict[str, Any] = {"bridge": "br0"}
    given = [{"name": f"eth{n}", **({} if "type" in each else usual), **each} for n, each in enumerate(interfaces)]
    return naming.said({"interfaces": parse_interfaces(name, given), "names": names})


def _lines(own: list[dict[str, Any]], *other: dict[str, Any]) -> list[str] | None:
    return naming.lines("web", {"web": _said("web", *own, names=True), "db": _said("db", *other)})


def _lab(parent: str, address: str) -> dict[str, Any]:
    return {"type": "macvlan", "parent": parent, "addresses": [address]}


_ROUTED = {"type": "routed", "addresses": ["192.0.2.3/32"]}
_WEB = {"addresses": ["10.0.0.2/24", "fd00::2/64"]}
_DB = {"addresses": ["10.0.0.3/24", "fd00::3/64"]}
_WAYS = {"gateway": "10.0.0.1", "gateway6": "fd00::1"}
_FAR = {"bridge": "br1", "addresses": ["10.9.0.3/24", "fd09::3/64"]}
_FAR_WAYS = {**_FAR, "gateway": "10.9.0.1", "gateway6": "fd09::1"}


def test_who_does_not_ask_is_told_nothing() -> None:
    assert naming.lines("web", {"web": _said("web", _WEB), "db": _said("db", _DB)}) is None
    assert naming.lines("web", {"db": _said("db", _DB)}) is None


def test_all_others_are_told_of_in_order_and_not_oneself() -> None:
    records = {
        "web": _said("web", _WEB, names=True),
        "zoo": _said("zoo", {"addresses": ["10.0.0.4/24"]}),
        "db": _said("db", _DB),
        "idle": naming.said({}),
    }
    assert naming.lines("web", records) == ["10.0.0.3 db", "fd00::3 db", "10.0.0.4 zoo"]


@pytest.mark.parametrize(
    ("own", "other", "found"),
    [
        ([_WEB], [_DB], ["10.0.0.3", "fd00::3"]),
        ([_WEB], [{**_DB, "bridge": "br1"}], []),
        ([_WEB], [{"addresses": ["10.5.0.3/24"]}], []),
        ([{"addresses": ["10.0.0.2/24"]}], [_DB], ["10.0.0.3"]),
        ([_WEB], [_FAR_WAYS], []),
        ([{**_WEB, **_WAYS}], [_FAR], []),
        ([{**_WEB, **_WAYS}], [_FAR_WAYS], ["10.9.0.3", "fd09::3"]),
        ([{**_WEB, "gateway": "10.0.0.1"}], [_FAR_WAYS], ["10.9.0.3"]),
        # Of a family with an address nearby no other one is given.
        ([{**_WEB, **_WAYS}], [{"addresses": ["10.0.0.3/24"]}, _FAR_WAYS], ["10.0.0.3", "fd09::3"]),
        ([{**_WEB, "isolate": True}], [_DB], ["10.0.0.3", "fd00::3"]),
        ([{**_WEB, "isolate": True}], [{**_DB, "isolate": True}], []),
        ([{**_WEB, **_WAYS, "isolate": True}], [{**_FAR_WAYS, "isolate": True}], []),
        ([_lab("en0", "10.0.0.2/24")], [_lab("en0", "10.0.0.3/24")], ["10.0.0.3"]),
        ([_lab("en0", "10.0.0.2/24")], [_lab("en1", "10.0.0.3/24")], []),
        # The host is the gateway of a routed one.
        ([{**_WEB, **_WAYS}], [_ROUTED], ["192.0.2.3"]),
        ([_WEB], [_ROUTED], []),
        ([], [_DB], []),
    ],
)
def test_those_addresses_that_are_reached(
    own: list[dict[str, Any]], other: list[dict[str, Any]], found: list[str]
) -> None:
    assert _lines(own, *other) == [f"{address} db" for address in found]


def test_many_are_told_as_each_alone() -> None:
    records = {
        **{f"web{n}": _said(f"web{n}", {"addresses": [f"10.0.0.{n}/24"]}, names=True) for n in range(2, 6)},
        "far": _said("far", _FAR_WAYS, names=True),
        "out": _said("out", {"addresses": ["10.0.0.9/24"], **_WAYS, "gateway6": None}, names=True),
        "mute": _said("mute", _DB),
    }
    together = naming.all_lines(records, records)
    assert together == {name: naming.lines(name, records) for name in records if name != "mute"}
    assert together["web2"] != together["web3"] != together["out"]
