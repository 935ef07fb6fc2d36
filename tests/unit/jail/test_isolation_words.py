# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the isolation options come to, by their words alone."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import nesting, policy
from ansible_collections.cellblock.jails.plugins.module_utils.jail import state as facet
from ansible_collections.cellblock.jails.plugins.module_utils.jail.isolation import options, settled
from ansible_collections.cellblock.jails.plugins.module_utils.jail.isolation.record import Isolation
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import capabilities, ucounts


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(layout, "LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


def settle(**given_options: Any) -> Isolation:
    """What a jail with these options, as a user writes them, gets."""
    return settled.settle(options.desired(facet.FACET.parse({"name": "x", **given_options}, {})))


def test_a_jail_of_which_nothing_was_said_has_the_baseline() -> None:
    """No more, and no less."""
    found = settle()
    assert set(found.capabilities) == set(policy.CAPABILITIES)
    assert [path for path in found.masked_paths if path in policy.MASKED_PATHS] == [
        path for path in policy.MASKED_PATHS if "*" not in path
    ]
    assert tuple(found.readonly_paths) == policy.READONLY_PATHS
    assert len(found.programs) == 1
    assert (found.profile, found.no_new_privs, found.personality) == ("", False, "linux")


@pytest.mark.parametrize("userns", ["auto", "host"])
def test_without_a_network_of_its_own_nothing_of_it_is_writable(userns: str) -> None:
    """Else as ever."""
    values = options.desired({"userns": userns, "network": "host"})
    shared, own = settled.settle(values), settled.settle({**values, "network": "private"})
    assert (shared.shares_network, own.shares_network) == (True, False)
    assert list(shared.writable_paths) == []
    assert list(settle().writable_paths) == list(policy.WRITABLE_PATHS)
    assert shared._replace(shares_network=False, writable_paths=own.writable_paths) == own


@pytest.mark.parametrize(
    ("said", "option", "possible"),
    [
        ({"sysctls": {"net/ipv4/ip_forward": "1"}}, "sysctls", False),
        ({"allow_raw_sockets": True}, "allow_raw_sockets", True),
        ({"capabilities": {"add": ["NET_ADMIN"], "drop": []}}, "capabilities", True),
        ({"capabilities": {"add": ["NET_RAW"], "drop": []}}, "capabilities", True),
    ],
)
def test_what_needs_a_network_of_its_own(said: dict[str, Any], option: str, possible: bool) -> None:
    """What is without effect in the host's is refused there; where the host's root may have it, that is its choice."""
    settled.check(options.desired(said))
    with pytest.raises(JailError, match="network=host") as caught:
        settled.check(options.desired({**said, "network": "host"}))
    assert caught.value.option == option
    theirs = options.desired({**said, "network": "host", "userns": "host"})
    if possible:
        settled.check(theirs)
    else:
        with pytest.raises(JailError, match="network=host"):
            settled.check(theirs)


def test_what_each_cpu_has_is_masked_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A star in the baseline stands for whatever this host has there; it can be taken away as it is written."""
    assert "/sys/devices/system/cpu/cpu*/thermal_throttle" in policy.MASKED_PATHS
    every = "/sys/devices/system/cpu/cpu[0-9]*/uevent"
    monkeypatch.setattr(policy, "MASKED_PATHS", (*policy.MASKED_PATHS, every))
    found = [path for path in settle().masked_paths if path.endswith("/uevent")]
    assert len(found) == os.cpu_count()
    assert "/sys/devices/system/cpu/cpu0/uevent" in found
    values = {**options.desired({}), "masked_paths": {"add": [], "remove": [every]}}
    assert not [path for path in settled.settle(values).masked_paths if path.endswith("/uevent")]


def test_children() -> None:
    """Whatever the number: limits above the jail, in which all that it makes counts once, whoever makes it; and none of
    control groups."""
    none, mounts = nesting.above(settle()), nesting.above(settle(allow_mount=True))
    most = policy.MOUNT_NAMESPACES_MAX
    assert (none, mounts) == ({"mnt": most, "user": 0}, {"mnt": most, "user": 1})
    assert nesting.inside(settle()) == {"user": 0}
    for number in (1, 7):
        isolation = settle(children_max=number)
        limits = nesting.above(isolation)
        assert limits["user"] == number + 1
        assert limits["cgroup"] == 1
        assert set(limits) == set(ucounts.COUNTED)
        assert limits["mnt"] == most + 16 * number
        assert all(limits[kind] == 2 + 16 * number for kind in ("pid", "net", "ipc", "uts", "time"))
        assert nesting.inside(isolation) == {"user": number}
        assert set(isolation.capabilities) == set(policy.CAPABILITIES)
    with pytest.raises(JailError, match=r"children_max: .*cannot be had together with userns=host"):
        settle(children_max=1, userns="host")
    assert settle(children_max=1).programs != settle().programs == settle(children_max=0).programs
    assert settle(children_max=1).programs == settle(children_max=9).programs


def test_what_is_writable_lies_within_what_is_not() -> None:
    """Where the whole is writable, no part of it is mounted again: it would keep children from a /proc of their own."""
    assert settle().writable_paths == ["/proc/sys/net"]
    assert settle(readonly_paths={"add": [], "remove": ["/proc/sys"]}).writable_paths == []
    assert settle(readonly_paths={"add": [], "remove": ["/proc/fs"]}).writable_paths == ["/proc/sys/net"]


@given(
    st.dictionaries(
        st.sampled_from([option.name for option in options.OPTIONS if option.type == "bool"]), st.booleans()
    ),
    st.integers(-1, 3),
    st.lists(st.sampled_from(capabilities.NAMES)),
    st.lists(st.sampled_from(capabilities.NAMES)),
)
def test_capabilities_are_what_was_opened_and_no_more(
    switches: dict[str, bool], level: int, add: list[str], drop: list[str]
) -> None:
    """Whatever is said together: nothing comes from nowhere, what is dropped is gone unless it is added too, and no
    securelevel gives anything."""
    said = {**switches, "capabilities": {"add": add, "drop": drop}}
    values = options.desired({"userns": "auto", **facet._parse_each(said, {})})
    bound = set(settled._capabilities({**values, "securelevel": level}))
    free = set(settled._capabilities({**values, "securelevel": -1}))
    opened = {name for switch, on in switches.items() if on for name in settled.SWITCHES.get(switch, ())}
    assert bound <= free
    assert free == ({*policy.CAPABILITIES, *opened} - set(drop)) | set(add)


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ({}, {"add": [], "drop": []}),
        ({"add": None, "drop": None}, {"add": [], "drop": []}),
        ({"add": ["net_raw", "CAP_NET_RAW"]}, {"add": ["NET_RAW"], "drop": []}),
        ({"drop": ["KILL", "CHOWN"]}, {"add": [], "drop": ["CHOWN", "KILL"]}),
        ({"drop": ["all"]}, {"add": [], "drop": sorted(capabilities.NAMES)}),
    ],
)
def test_words_for_capabilities(value: dict[str, Any], canonical: dict[str, Any]) -> None:
    """With or without the prefix, in any case and order; ALL is every one."""
    assert facet.FACET.parse({"name": "x", "capabilities": value}, {}) == {"capabilities": canonical}


def test_all_is_shown_as_it_was_written() -> None:
    """And not as forty names."""
    parsed = facet.FACET.parse({"name": "x", "capabilities": {"drop": ["ALL"]}}, {})["capabilities"]
    assert facet.FACET.option("capabilities").show(parsed) == {"add": [], "drop": ["ALL"]}


@pytest.mark.parametrize(
    ("option", "value", "canonical"),
    [
        ("masked_paths", {"add": ["/a/", "/b//c"]}, {"add": ["/a", "/b/c"], "remove": []}),
        ("masked_paths", {"remove": ["/proc/kcore"]}, {"add": [], "remove": ["/proc/kcore"]}),
        ("readonly_paths", {"remove": ["/proc/sys/"]}, {"add": [], "remove": ["/proc/sys"]}),
    ],
)
def test_words_for_paths(option: str, value: dict[str, Any], canonical: dict[str, Any]) -> None:
    """In one form."""
    assert facet.FACET.parse({"name": "x", option: value}, {}) == {option: canonical}


@pytest.mark.parametrize("path", ["", "a", "/", "//", "/..", "/a/..", "/a\0b", "../a"])
@pytest.mark.parametrize("option", ["masked_paths", "readonly_paths"])
def test_what_is_no_path_inside(option: str, path: str) -> None:
    """Relative ones, and the root."""
    with pytest.raises(JailError, match=f"^{option}: "):
        facet.FACET.parse({"name": "x", option: {"add": [path]}}, {})


@pytest.mark.parametrize(
    ("given_options", "recorded"),
    [
        ({"allow_chflags": True}, {}),
        ({"userns": "auto"}, {"allow_chflags": True, "userns": "host"}),
        ({"allow_set_hostname": True}, {"userns": "host"}),
        ({"userns": "host"}, {"allow_set_hostname": True}),
    ],
)
def test_what_excludes_each_other_is_refused_in_either_order(given_options: Any, recorded: Any) -> None:
    """Also when one half of it was said in an earlier run."""
    with pytest.raises(JailError, match=r"^allow_"):
        facet.FACET.parse({"name": "x", **given_options}, recorded)


def test_a_program_is_one_of_a_policy() -> None:
    """Different switches give different filters, the same give the same, and the personality has a say."""
    programs = [
        tuple(settle(**said).programs)
        for said in ({}, {"allow_sysvipc": True}, {"allow_socket_af": True}, {"personality": "linux32"})
    ]
    assert len(set(programs)) == len(programs)
    assert tuple(settle(allow_raw_sockets=True).programs) == programs[0]
    assert settle(seccomp="unconfined").programs == []
