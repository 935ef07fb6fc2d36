# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user says about interfaces: one form, errors to act on, conflicts between jails."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
import re
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import (
    USUAL,
    USUAL_PLACE,
    Interface,
    carried,
    completed,
    gateways,
    in_order,
    parse_interfaces,
    stable_mac,
)
from ansible_collections.cellblock.jails.plugins.module_utils.net.conflicts import between

FULL = {
    "name": "eth0",
    "bridge": "br-jails",
    "addresses": ["fd77::11/64", "10.77.0.11/24"],
    "gateway": "10.77.0.1",
    "gateway6": "fd77::1",
    "mac": "02:AB:00:00:00:01",
    "mtu": 1400,
    "masquerade": True,
}


def parse(jail: str = "web1", **changes: Any) -> Interface:
    """One interface that is like :data:`FULL` but for these keys."""
    return parse_interfaces(jail, [{**FULL, **changes}])[0]


def simple(jail: str, address: str, **changes: Any) -> list[Interface]:
    """A jail's only interface, without gateways."""
    value = {"name": "eth0", "bridge": "br-jails", "addresses": [address], **changes}
    return parse_interfaces(jail, [value])


def test_the_canonical_form_is_whole() -> None:
    assert parse() == {
        "name": "eth0",
        "bridge": "br-jails",
        "addresses": ["10.77.0.11/24", "fd77::11/64"],
        "gateway": "10.77.0.1",
        "gateway6": "fd77::1",
        "mac": "02:ab:00:00:00:01",
        "mtu": 1400,
        "masquerade": True,
        **USUAL_PLACE,
        **USUAL,
    }


def test_what_is_left_out_has_a_value() -> None:
    least = {"name": "eth0", "bridge": "br0"}
    expected: Interface = {
        "name": "eth0",
        "bridge": "br0",
        "addresses": [],
        "gateway": None,
        "gateway6": None,
        "mac": stable_mac("web1", "eth0"),
        "mtu": 1500,
        "masquerade": False,
        "spoof_protection": True,
        "allow_router": False,
        "allow_metadata": False,
        "isolate": False,
        "connections_max": 8192,
        "neighbours_max": 128,
        "type": "veth",
        "parent": None,
        "routes": [],
        "rate_in": "unlimited",
        "rate_out": "unlimited",
        "packets_max": 0,
    }
    assert parse_interfaces("web1", [least]) == [expected]
    assert parse_interfaces("web1", [{**dict.fromkeys(FULL), **least}]) == [expected]


def test_a_derived_mac_given_back_by_the_user_is_the_same_interface() -> None:
    assert parse(mac=None) == parse(mac=stable_mac("web1", "eth0").upper())


def test_spellings_of_one_address_are_one() -> None:
    spelled = parse(addresses=["10.77.0.11/255.255.255.0", "FD77:0:0::0011/64"], gateway6="fd77:0::1")
    assert spelled == parse()


def test_interfaces_are_sorted_by_name() -> None:
    given_order = [{"name": name, "bridge": "br0"} for name in ("eth1", "data", "eth0")]
    assert [interface["name"] for interface in parse_interfaces("web1", given_order)] == ["data", "eth0", "eth1"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "lo"}, "interface name 'lo' is not usable"),
        ({"name": "default"}, "interface name 'default' is not usable"),
        ({"name": "sixteen-letters-"}, "interface name 'sixteen-letters-' is not usable"),
        ({"name": "a/b"}, "interface name 'a/b' is not usable"),
        ({"name": "eth0\n"}, r"interface name 'eth0\n' is not usable"),
        ({"name": None}, "interface name None is not usable"),
        ({"bridge": "0br"}, "interface eth0: bridge name '0br' is not usable"),
        ({"bridge": None}, "interface eth0: type veth needs a bridge"),
        ({"adresses": []}, "interface eth0: unknown key 'adresses'"),
        ({"addresses": ["10.77.0.11"]}, "address 10.77.0.11 has no prefix length; write it as 10.77.0.11/24"),
        ({"addresses": ["fd77::11"]}, "address fd77::11 has no prefix length; write it as fd77::11/64"),
        ({"addresses": ["10.77.0.256/24"]}, "interface eth0: '10.77.0.256/24' does not appear to be"),
        ({"addresses": ["10.77.0.0/24"]}, "is the network or broadcast address of 10.77.0.0/24"),
        ({"addresses": ["10.77.0.255/24"]}, "is the network or broadcast address of 10.77.0.0/24"),
        ({"addresses": ["fd77::/64"]}, "is the network or broadcast address of fd77::/64"),
        ({"addresses": ["224.0.0.1/24"]}, "not one that an interface can have"),
        ({"addresses": ["127.0.0.2/8"]}, "not one that an interface can have"),
        ({"addresses": ["10.0.0.1/0"]}, "not one that an interface can have"),
        ({"addresses": ["fe80::1/64"]}, "address fe80::1/64 is link-local"),
        ({"addresses": ["fd77::1%eth0/64"]}, "must not have a zone"),
        ({"addresses": ["10.77.0.11/24", "10.77.0.11/16"], "gateway6": None}, "address 10.77.0.11 is given 2 times"),
        ({"addresses": [], "gateway": None, "gateway6": None}, "masquerade needs an address"),
        ({"gateway": "10.78.0.1"}, "gateway 10.78.0.1 lies in the prefix of none of its IPv4 addresses (10.77.0.11/24"),
        ({"gateway": "10.77.0.11"}, "gateway 10.77.0.11 is an address of the jail itself"),
        ({"gateway": "10.77.0.255"}, "gateway 10.77.0.255 is the network or broadcast address"),
        ({"gateway": "fd77::1"}, "gateway fd77::1 is not an IPv4 address"),
        ({"gateway": ""}, "'' does not appear to be"),
        ({"gateway6": "10.77.0.1"}, "gateway6 10.77.0.1 is not an IPv6 address"),
        ({"gateway6": "fe80::1%eth0"}, "gateway6 fe80::1%eth0 is not an IPv6 address"),
        ({"gateway6": "fd78::1"}, "gateway6 fd78::1 lies in the prefix of none of its IPv6 addresses (fd77::11/64)"),
        ({"addresses": ["10.77.0.11/24"]}, "gateway6 fd77::1 lies in the prefix of none of its IPv6 addresses (none)"),
        ({"type": "bond"}, "type 'bond' is none of veth, routed, macvlan, ipvlan, phys"),
        ({"parent": "eno1"}, "bridge br-jails and parent eno1 exclude each other"),
        ({"bridge": None, "parent": "eno1"}, "type veth needs a bridge"),
        ({"type": "macvlan", "bridge": None}, "type macvlan needs a parent"),
        ({"type": "macvlan", "parent": "eno1"}, "bridge br-jails and parent eno1 exclude each other"),
        ({"type": "routed"}, "bridge br-jails does not go with type routed"),
        ({"type": "routed", "bridge": None}, "address fd77::11/64 is not for itself alone, as type routed needs it"),
        ({"type": "ipvlan", "bridge": None, "parent": "eno1"}, "mac 02:AB:00:00:00:01 does not go with type ipvlan"),
        ({"type": "phys", "bridge": None, "parent": "eno1"}, "masquerade does not go with type phys"),
        (
            {"type": "routed", "bridge": None, "addresses": [], "masquerade": False, "parent": "a b"},
            "parent 'a b' is not usable",
        ),
        ({"routes": [{"via": "10.77.0.1"}]}, "route None"),
        ({"routes": [{"to": "default"}]}, "route default: write it as 0.0.0.0/0 or ::/0"),
        ({"routes": [{"to": "10.9.0.1/16"}]}, "route 10.9.0.1/16: 10.9.0.1/16 has host bits set"),
        ({"routes": [{"to": "10.9.0.0/16", "dev": "x"}]}, "route: unknown key 'dev'"),
        (
            {"routes": [{"to": "10.9.0.0/16", "via": "10.78.0.1"}]},
            "via 10.78.0.1 lies in the prefix of none of its IPv4",
        ),
        ({"routes": [{"to": "10.9.0.0/16", "via": "fd77::1"}]}, "via fd77::1 is not an IPv4 address"),
        ({"routes": [{"to": "10.9.0.0/16", "via": "10.77.0.11"}]}, "via 10.77.0.11 is an address of the interface"),
        ({"routes": [{"to": "10.9.0.0/16", "metric": -1}]}, "metric -1 is not in the range 0 to 4294967295"),
        ({"routes": [{"to": "10.9.0.0/16", "table": 255}]}, "table 255 is the kernel's own"),
        ({"routes": [{"to": "0.0.0.0/0", "via": "10.77.0.7"}]}, "have the same metric 0; give the route another one"),
        (
            {"routes": [{"to": "10.9.0.0/16", "via": "10.77.0.1"}, {"to": "10.9.0.0/16"}]},
            "route 10.9.0.0/16 is given by no neighbour and 10.77.0.1 with the same metric 0 in table 254",
        ),
        (
            {"addresses": ["fd77::11/64"], "gateway": None, "routes": [{"to": "10.9.0.0/16"}]},
            "route 10.9.0.0/16: the interface has no IPv4 address",
        ),
        ({"mac": "03:00:00:00:00:01"}, "mac 03:00:00:00:00:01 is not the address of one interface"),
        ({"mac": "00:00:00:00:00:00"}, "mac 00:00:00:00:00:00 is not the address of one interface"),
        ({"mac": "02:00:00:00:01"}, "mac 02:00:00:00:01 is not the address of one interface"),
        ({"mtu": 1279}, "mtu 1279 is not in the range 1280 to 65535"),
        ({"mtu": 65536}, "mtu 65536 is not in the range 1280 to 65535"),
        ({"mtu": True}, "mtu True is not in the range"),
        ({"addresses": ["10.77.0.11/24"], "gateway6": None, "mtu": 67}, "mtu 67 is not in the range 68 to 65535"),
    ],
)
def test_a_wrong_value_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse(**changes)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ({"name": "eth0"}, "interface eth0 is given 2 times"),
        ({"addresses": ["10.77.0.11/16"]}, "address 10.77.0.11 is given 2 times"),
        ({"mac": FULL["mac"]}, "mac 02:ab:00:00:00:01 is given 2 times"),
        ({"addresses": ["10.78.0.2/24"], "gateway": "10.78.0.1"}, "gateway is given for 2 interfaces"),
        ({"addresses": ["10.77.0.1/24"]}, "gateway 10.77.0.1 is an address of the jail itself"),
        (
            {"bridge": None, "type": "phys", "parent": "br-jails"},
            "interfaces eth0 and eth1 both want the device br-jails",
        ),
    ],
)
def test_what_a_jail_cannot_have_twice(second: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_interfaces("web1", [FULL, {"name": "eth1", "bridge": "br-jails", **second}])


ROUTED = {"name": "eth0", "type": "routed", "addresses": ["10.77.0.11/32", "fd77::11/128"]}


def test_a_routed_interface_is_the_way_out_where_there_is_no_other() -> None:
    first, second = parse_interfaces("web1", [ROUTED, {**ROUTED, "name": "eth1", "addresses": ["10.77.0.12/32"]}])
    assert (first["gateway"], first["gateway6"], second["gateway"]) == ("169.254.1.1", "fe80::1", None)
    assert carried(first) == ["169.254.1.1/32", "fe80::1/128"]
    assert carried(second) == ["169.254.1.1/32"]
    routed, bridged = parse_interfaces("web1", [ROUTED, {"name": "eth1", "bridge": "b", "addresses": ["10.1.0.2/16"]}])
    assert (routed["gateway"], bridged["gateway"]) == ("169.254.1.1", None)
    way = {"to": "0.0.0.0/0", "via": "10.1.0.1", "metric": 5}
    other = {"name": "eth1", "bridge": "b", "addresses": ["10.1.0.2/16"], "routes": [way]}
    assert parse_interfaces("web1", [ROUTED, other])[0]["gateway"] is None


def test_a_routed_interface_has_the_gateway_that_is_given() -> None:
    routed = parse_interfaces("web1", [{**ROUTED, "gateway": "10.99.0.1"}])
    assert routed[0]["gateway"] == "10.99.0.1"
    assert carried(routed[0]) == ["10.99.0.1/32", "fe80::1/128"]
    assert parse_interfaces("web1", routed) == routed


def test_routes_are_sorted_and_whole() -> None:
    given = [{"to": "fd09::/64", "metric": 0}, {"to": "10.9.0.0/16", "table": 7}, {"to": "10.8.0.0/16"}]
    assert parse(routes=given)["routes"] == [
        {"to": "10.9.0.0/16", "via": None, "metric": 0, "table": 7},
        {"to": "10.8.0.0/16", "via": None, "metric": 0, "table": 254},
        {"to": "fd09::/64", "via": None, "metric": 1024, "table": 254},
    ]


@pytest.mark.parametrize("kind", ["macvlan", "ipvlan", "phys"])
def test_what_does_not_pass_the_host_is_not_counted_there(kind: str) -> None:
    value = {"name": "eth0", "type": kind, "parent": "eno1", "addresses": ["10.77.0.11/24"]}
    parsed = parse_interfaces("web1", [value])
    assert parsed[0]["connections_max"] == 0
    assert parsed[0]["mac"] == (stable_mac("web1", "eth0") if kind == "macvlan" else "")
    assert parse_interfaces("web1", parsed) == parsed


def test_interfaces_that_an_older_version_recorded() -> None:
    old = {key: value for key, value in parse().items() if key not in USUAL_PLACE and key not in USUAL}
    assert completed([old]) == [parse()]


@pytest.mark.parametrize("address", ["10.77.0.0/31", "10.77.0.1/31", "10.77.0.0/32", "fd77::/127", "fd77::/128"])
def test_prefixes_without_reserved_addresses(address: str) -> None:
    assert simple("web1", address)[0]["addresses"] == [address]


def test_gateways_have_the_longest_prefix_that_reaches_them() -> None:
    addresses = ["10.77.0.11/16", "10.77.0.12/24", "fd77::11/64"]
    assert gateways(parse(addresses=addresses)) == ["10.77.0.1/24", "fd77::1/64"]
    assert gateways(parse(gateway6="fe80::1")) == ["10.77.0.1/24", "fe80::1/64"]
    assert gateways({**parse(), "addresses": []}) == []


def test_stable_mac_depends_on_both_names_and_on_nothing_else() -> None:
    assert stable_mac("web1", "eth0") == "02:86:e1:a2:db:e5"
    macs = {stable_mac(jail, interface) for jail in ("web1", "web2") for interface in ("eth0", "eth1")}
    assert len(macs) == 4


def test_jails_that_go_together() -> None:
    networks = {
        "web1": parse_interfaces("web1", [{**FULL, "mac": None}]),
        "web2": parse_interfaces("web2", [{**FULL, "addresses": ["10.77.0.12/24", "fd77::12/64"], "mac": None}]),
        "dns1": simple("dns1", "10.78.0.11/24", bridge="br-other", gateway="10.78.0.1"),
    }
    assert between(networks) == {}


@pytest.mark.parametrize(
    ("one", "other", "sentence"),
    [
        (
            simple("a", "10.0.0.2/24"),
            simple("b", "10.0.0.2/24"),
            "jails a and b both have the address 10.0.0.2",
        ),
        (
            simple("a", "10.0.0.2/24", mac="02:00:00:00:00:01"),
            simple("b", "10.0.0.3/24", mac="02:00:00:00:00:01"),
            "jails a and b both have the MAC address 02:00:00:00:00:01",
        ),
        (
            simple("a", "10.0.0.1/24"),
            simple("b", "10.0.0.3/24", gateway="10.0.0.1"),
            "jail a has the address 10.0.0.1, which is the gateway of jail b",
        ),
        (
            simple("a", "10.0.0.2/24", gateway="10.0.0.1"),
            simple("b", "10.0.0.3/25", gateway="10.0.0.1"),
            "the gateway of bridge br-jails is 10.0.0.1/24 for jail a and 10.0.0.1/25 for jail b",
        ),
        (
            simple("a", "10.0.0.2/24"),
            simple("b", "10.0.0.3/16", bridge="br-other"),
            "jail a has 10.0.0.0/24 on bridge br-jails, which overlaps 10.0.0.0/16 of jail b on bridge br-other",
        ),
        (
            simple("a", "10.0.0.2/32", bridge=None, type="routed"),
            simple("b", "10.0.0.3/24", bridge="br-other"),
            "jail a has 10.0.0.2/32 on the host's own routes, which overlaps 10.0.0.0/24 of jail b on bridge br-other",
        ),
        (
            simple("a", "10.0.0.2/24", bridge=None, type="macvlan", parent="eno1"),
            simple("b", "10.0.0.3/24", bridge=None, type="phys", parent="eno2"),
            "jail a has 10.0.0.0/24 on device eno1, which overlaps 10.0.0.0/24 of jail b on device eno2",
        ),
        (
            simple("a", "10.0.0.2/24", bridge=None, type="phys", parent="eno1"),
            simple("b", "10.0.1.3/24", bridge=None, type="phys", parent="eno1"),
            "jails a and b both want the device eno1, and a all of it",
        ),
        (
            simple("a", "10.0.0.2/24", bridge=None, type="macvlan", parent="eno1"),
            simple("b", "10.0.1.3/24", bridge=None, type="phys", parent="eno1"),
            "jails a and b both want the device eno1, and b all of it",
        ),
        (
            simple("a", "10.0.0.2/24", bridge="br-lan"),
            simple("b", "10.0.1.3/24", bridge=None, type="phys", parent="br-lan"),
            "jails a and b both want the device br-lan, and b all of it",
        ),
    ],
)
def test_jails_that_do_not(one: list[Interface], other: list[Interface], sentence: str) -> None:
    bystander = simple("c", "192.0.2.3/24", bridge="br-third")
    assert between({"a": one, "b": other, "c": bystander}) == {"a": sentence, "b": sentence}


def test_every_jail_of_a_conflict_is_told() -> None:
    networks = {name: simple(name, f"10.0.0.{number}/24") for number, name in enumerate("abc", 2)}
    networks["d"] = simple("d", "10.0.0.9/24", bridge="br-other")
    assert between(networks).keys() == {"a", "b", "c", "d"}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 63), st.integers(26, 31)), max_size=12))
def test_overlaps_are_those_of_each_pair(places: list[tuple[str, int, int]]) -> None:
    """The rule itself, for every pair of prefixes."""
    networks: dict[str, list[Interface]] = {}
    for number, (bridge, host, length) in enumerate(places):
        interface = simple(f"j{number:02}", "10.0.0.1/24", bridge=bridge)[0]
        networks[f"j{number:02}"] = [{**interface, "addresses": [f"10.0.{number % 2}.{host}/{length}"]}]
    expected = set()
    for one, other in itertools.combinations(networks, 2):
        first, second = networks[one][0], networks[other][0]
        prefixes = [ipaddress.ip_interface(each["addresses"][0]) for each in (first, second)]
        same_host = prefixes[0].ip == prefixes[1].ip
        if same_host or (first["bridge"] != second["bridge"] and prefixes[0].network.overlaps(prefixes[1].network)):
            expected |= {one, other}
    assert between(networks).keys() == expected


def _interfaces(version: Literal[4, 6]) -> st.SearchStrategy[str]:
    longest = {4: 32, 6: 128}[version]
    return st.builds("{}/{}".format, st.ip_addresses(v=version), st.integers(min_value=0, max_value=longest))


WORDS = st.text("ab0/.:-% ", max_size=9)
VALUES = st.fixed_dictionaries(
    {"name": st.sampled_from(["eth0", "lan.7", "lo"]) | WORDS, "bridge": st.just("br0") | WORDS},
    optional={
        "addresses": st.lists(_interfaces(4) | _interfaces(6) | WORDS, max_size=4),
        "gateway": st.ip_addresses().map(str) | WORDS | st.none(),
        "gateway6": st.ip_addresses().map(str) | WORDS | st.none(),
        "mac": st.text("0123456789abcdefABCDEF:", max_size=18) | st.none(),
        "mtu": st.integers() | st.none(),
        "masquerade": st.booleans(),
    },
)


@st.composite
def good_values(draw: st.DrawFn) -> dict[str, Any]:
    """An interface with an address of each family and their gateways, spelled one way or another."""
    value: dict[str, Any] = {"name": draw(st.sampled_from(["eth0", "lan.7"])), "bridge": "br0", "addresses": []}
    for key, prefix, shortest in (("gateway", "10.0.0.0/8", 30), ("gateway6", "fd00::/8", 126)):
        length = draw(st.integers(min_value=8, max_value=shortest))
        network = ipaddress.ip_interface(f"{draw(st.ip_addresses(network=prefix))}/{length}").network
        inside = st.integers(min_value=1, max_value=network.num_addresses - 2)
        host, gateway = draw(st.lists(inside, min_size=2, max_size=2, unique=True))
        value["addresses"].append(f"{(network[host]).exploded}/{length}")
        value[key] = str(network[gateway]).upper()
    value["mtu"] = draw(st.none() | st.integers(min_value=1280, max_value=65535))
    value["masquerade"] = draw(st.booleans())
    return value


@given(st.lists(VALUES, max_size=3))
def test_any_input_is_parsed_or_refused(value: list[dict[str, Any]]) -> None:
    with contextlib.suppress(ValueError):
        parse_interfaces("web1", value)


@given(good_values())
def test_the_canonical_form_is_a_fixed_point(value: dict[str, Any]) -> None:
    parsed = parse_interfaces("web1", [value])
    assert parse_interfaces("web1", parsed) == parsed
    assert json.loads(json.dumps(parsed)) == parsed
    assert parsed[0]["addresses"] == in_order(reversed(parsed[0]["addresses"]))
    assert [gateway.partition("/")[0] for gateway in gateways(parsed[0])] == [
        parsed[0]["gateway"],
        parsed[0]["gateway6"],
    ]


@given(st.lists(_interfaces(4) | _interfaces(6)))
def test_the_order_of_addresses_is_that_of_their_values(addresses: list[str]) -> None:
    ordered = in_order(addresses)
    assert ordered == in_order(reversed(addresses))
    values = [ipaddress.ip_interface(address) for address in ordered]
    assert values == sorted(values, key=lambda each: (each.version, int(each.ip), each.network.prefixlen))


@given(st.lists(_interfaces(4) | _interfaces(6), max_size=6))
def test_conflicts_are_mutual_and_independent_of_order(addresses: list[str]) -> None:
    networks: dict[str, list[Interface]] = {}
    for number, address in enumerate(addresses):
        try:
            networks[f"j{number}"] = simple(f"j{number}", address, bridge=f"br{number % 2}")
        except ValueError:
            continue
    found = between(networks)
    assert found == between(dict(reversed(networks.items())))
    for jail, sentence in found.items():
        assert jail in networks
        assert sum(f"jail {each}" in sentence or f" {each} " in sentence for each in networks) >= 2
