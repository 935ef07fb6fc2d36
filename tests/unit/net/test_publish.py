# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user says about published ports: one form, errors to act on, where they lead, conflicts between jails."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.net import publish
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import Interface, parse_interfaces
from ansible_collections.cellblock.jails.plugins.module_utils.net.publish import Door, Target

_ETH0 = {"name": "eth0", "bridge": "br-jails", "addresses": ["10.77.0.11/24", "10.77.0.12/24", "fd77::11/64"]}
_ETH1 = {"name": "eth1", "bridge": "br-data", "addresses": ["10.78.0.5/16", "10.78.0.6/24"], "gateway": "10.78.0.1"}


def interfaces(*values: dict[str, Any]) -> list[Interface]:
    return parse_interfaces("web1", values or [_ETH0])


def parse(**value: Any) -> publish.Forward:
    return publish.parse([{"host_port": "8080", **value}])[0]


def test_the_canonical_form_is_whole_and_its_own_form() -> None:
    assert parse(jail_port=80, host_address="2001:DB8::1", protocol="udp") == {
        "host_address": "2001:db8::1",
        "host_port": "8080",
        "jail_port": "80",
        "jail_address": None,
        "interface": None,
        "protocol": "udp",
    }
    assert parse()["jail_port"] == "8080"
    assert parse()["protocol"] == "tcp"
    assert parse(host_port="80-80")["host_port"] == "80"
    entries = publish.parse([{"host_port": "8000-8010", "jail_port": "1-11"}, {"host_port": 22}])
    assert [each["host_port"] for each in entries] == ["22", "8000-8010"]
    assert publish.parse(entries) == entries


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"host_port": None}, "host_port None is neither a port"),
        ({"host_port": "http"}, "host_port 'http' is neither a port such as 8080 nor a range such as 8000-8010"),
        ({"host_port": "0"}, "host_port 0 is not within 1 to 65535"),
        ({"host_port": "70000"}, "host_port 70000 is not within 1 to 65535"),
        ({"host_port": "20-10"}, "host_port 20-10 is not within 1 to 65535, the lower one first"),
        ({"host_port": "1-2-3"}, "neither a port"),
        ({"host_port": "8000-8010", "jail_port": "80"}, "host_port 8000-8010 are 11 ports and jail_port 80 are 1"),
        ({"protocol": "icmp"}, "protocol 'icmp' is none of tcp, udp, sctp"),
        ({"host_address": "web"}, "'web' does not appear to be an IPv4 or IPv6 address"),
        ({"host_address": "fe80::1"}, "host_address fe80::1 is not usable"),
        ({"host_address": "224.0.0.1"}, "host_address 224.0.0.1 is not usable"),
        ({"host_address": "::ffff:10.0.0.1"}, "is not usable"),
        ({"jail_address": "10.77.0.11", "interface": "eth0"}, "has both jail_address and interface"),
        ({"jail_address": "10.77.0.11", "host_address": "::"}, "cannot lead to 10.77.0.11: that is another version"),
        ({"port": 1}, "unknown key 'port'"),
    ],
)
def test_what_cannot_be_is_said(value: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("?", r"\?").replace("(", r"\(")):
        parse(**value)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ({}, {}, "tcp port 8080"),
        ({}, {"host_port": "8000-9000"}, "tcp port 8080"),
        ({"host_port": "8000-8100"}, {"host_port": "8080-9000"}, "tcp port 8080-8100"),
        ({}, {"host_address": "192.0.2.1"}, "tcp port 8080 of 192.0.2.1"),
        ({"host_address": "0.0.0.0"}, {"host_address": "192.0.2.1"}, "tcp port 8080 of 192.0.2.1"),
        ({"host_address": "::"}, {}, "tcp port 8080"),
        ({}, {"protocol": "udp"}, None),
        ({}, {"host_port": "8081"}, None),
        ({"host_address": "0.0.0.0"}, {"host_address": "::"}, None),
        ({"host_address": "192.0.2.1"}, {"host_address": "192.0.2.2"}, None),
        ({"host_address": "::"}, {"host_address": "192.0.2.1"}, None),
    ],
)
def test_what_is_published_twice_is_named_with_both(
    one: dict[str, Any], other: dict[str, Any], shared: str | None
) -> None:
    sentence = f"publish: jails db1 and web1 both publish {shared}"
    found = publish.conflicts({"web1": [parse(**one)], "db1": [parse(**other)]})
    assert found == ({"web1": sentence, "db1": sentence} if shared else {})
    if shared:
        with pytest.raises(ValueError, match=f"both publish {shared}"):
            publish.parse([{"host_port": "8080", **one}, {"host_port": "8080", **other}])


_ports = st.tuples(st.integers(1, 40), st.integers(0, 10)).map(lambda pair: f"{pair[0]}-{sum(pair)}")
_entry = st.fixed_dictionaries(
    {
        "host_port": _ports,
        "host_address": st.sampled_from([None, "0.0.0.0", "::", "192.0.2.1", "192.0.2.2", "2001:db8::1"]),
        "protocol": st.sampled_from(publish.PROTOCOLS),
    }
)


@given(st.lists(_entry, max_size=8))
def test_conflicts_are_found_in_any_order(entries: list[dict[str, Any]]) -> None:
    """What two entries say both is found by comparing their doors one by one."""
    jails = {f"j{number}": publish.parse([entry]) for number, entry in enumerate(entries)}
    found = publish.conflicts(jails)
    spots = {name: _spots(forwards[0]) for name, forwards in jails.items()}
    expected = {one for one in spots for other in spots if one != other and _meet(spots[one], spots[other])}
    assert set(found) == expected


def _spots(forward: publish.Forward) -> set[Door]:
    return set(publish.reach([forward], interfaces()).doors)


def _meet(one: set[Door], other: set[Door]) -> bool:
    return any(
        (a.version, a.protocol, a.port) == (b.version, b.protocol, b.port)
        and (a.address == b.address or not (a.address and b.address))
        for a in one
        for b in other
    )


def test_where_it_leads() -> None:
    both = interfaces(_ETH0, _ETH1)
    assert publish.reach([parse(jail_port=80)], both).doors == {
        Door(4, "tcp", "", 8080): Target("10.78.0.5", 80),  # where its gateway is
        Door(6, "tcp", "", 8080): Target("fd77::11", 80),
    }
    assert publish.reach([parse(interface="eth0", host_address="0.0.0.0")], both).doors == {
        Door(4, "tcp", "", 8080): Target("10.77.0.11", 8080)
    }
    reach = publish.reach([parse(host_port="8000-8001", jail_port="1-2", jail_address="10.77.0.12")], both)
    assert reach.doors == {
        Door(4, "tcp", "", 8000): Target("10.77.0.12", 1),
        Door(4, "tcp", "", 8001): Target("10.77.0.12", 2),
    }
    # The one network of eth1 lies in the other.
    assert reach.near == {"10.77.0.12": {"10.77.0.0/24", "10.78.0.0/16"}}
    assert reach.ports == {"eth0"}
    assert reach.loopback == {4: {"br-jails"}}
    assert publish.reach([parse(host_address="192.0.2.1")], both).loopback == {}
    assert publish.reach([parse(host_address="127.0.0.1")], both).loopback == {4: {"br-data"}}


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        ({"host_address": "::"}, "no IPv6 address"),
        ({"jail_address": "10.9.9.9"}, "no address 10.9.9.9"),
        ({"interface": "eth7"}, "no address on an interface eth7"),
    ],
)
def test_what_leads_nowhere_is_said(value: dict[str, Any], missing: str) -> None:
    with pytest.raises(ValueError, match=f"leads nowhere: the jail has {missing}"):
        publish.reach([parse(**value)], interfaces(_ETH1))


def test_what_is_there_is_told_in_the_words_of_the_option() -> None:
    wanted = publish.parse([{"host_port": "8000-8002"}, {"host_port": 53, "protocol": "udp", "jail_port": 5353}])
    there = dict(publish.reach(wanted, interfaces()).doors)
    assert publish.describe(there, wanted, interfaces()) == wanted
    del there[Door(6, "udp", "", 53)]
    there[Door(4, "tcp", "192.0.2.1", 22)] = Target("10.77.0.12", 2222)
    left = publish.describe(there, wanted, interfaces())
    assert left == publish.parse(
        [
            {"host_port": "8000-8002"},
            {
                "host_port": 53,
                "jail_port": 5353,
                "protocol": "udp",
                "host_address": "0.0.0.0",
                "jail_address": "10.77.0.11",
            },
            {"host_port": 22, "jail_port": 2222, "host_address": "192.0.2.1", "jail_address": "10.77.0.12"},
        ]
    )


@pytest.mark.parametrize(
    ("value", "listener", "covered"),
    [
        ({}, ("0.0.0.0", 8080, False), True),
        ({}, ("127.0.0.1", 8080, False), True),
        ({}, ("::", 8080, False), True),
        ({}, ("0.0.0.0", 8081, False), False),
        ({"host_port": "8000-9000"}, ("0.0.0.0", 8081, False), True),
        ({"host_address": "0.0.0.0"}, ("::", 8080, False), False),
        ({"host_address": "0.0.0.0"}, ("::", 8080, True), True),
        ({"host_address": "192.0.2.1"}, ("::", 8080, True), True),
        ({"host_address": "192.0.2.1"}, ("192.0.2.2", 8080, False), False),
        ({"host_address": "192.0.2.1"}, ("192.0.2.1", 8080, False), True),
        ({"host_address": "::1"}, ("127.0.0.1", 8080, False), False),
    ],
)
def test_listeners_that_would_hear_nothing_any_more(
    value: dict[str, Any], listener: tuple[str, int, bool], covered: bool
) -> None:
    assert publish.covers(parse(**value), *listener) is covered
