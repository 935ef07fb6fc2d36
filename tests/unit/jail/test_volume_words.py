# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words for mounts, kernel parameters, devices and ranges of ids: one canonical form, closed by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.jail import ids
from ansible_collections.cellblock.jails.plugins.module_utils.jail.isolation import nodes, sysctls
from ansible_collections.cellblock.jails.plugins.module_utils.jail.volumes import words
from ansible_collections.cellblock.jails.plugins.module_utils.jail.volumes.sources import Place

_NAMES = st.lists(
    st.text("abz-_.", min_size=1, max_size=3).filter(lambda name: name.strip(".")), min_size=1, max_size=3
)
_PATHS = _NAMES.map(lambda names: "/" + "/".join(names))
_FLAGS = st.sampled_from(["read_only", "nosuid", "nodev", "noexec", "idmapped"])


@given(_PATHS, _PATHS, st.dictionaries(_FLAGS, st.none() | st.booleans()))
def test_what_is_shown_means_the_same(target: str, source: str, flags: dict[str, bool | None]) -> None:
    """Given back as it is shown, a mount is the one that it was; what was not said is closed."""
    (parsed,) = words.parse([{"target": target, "source": source, **flags}])
    assert words.parse(words.show([parsed])) == [parsed]
    for flag, closed in (("read_only", True), ("nosuid", True), ("nodev", True)):
        if flags.get(flag) is None:
            assert parsed[flag] is closed


@given(st.lists(_PATHS, unique=True, max_size=6))
def test_what_is_above_comes_first(targets: list[str]) -> None:
    """Whatever the order of the list, a mount never covers one that lies below it."""
    order = [volume["target"] for volume in words.parse([{"target": each, "type": "tmpfs"} for each in targets])]
    for number, target in enumerate(order):
        assert not any(earlier.startswith(f"{target}/") for earlier in order[:number])


def test_too_many() -> None:
    """There is an end to it."""
    with pytest.raises(ValueError, match="at most 32"):
        words.parse([{"target": f"/{number}", "type": "tmpfs"} for number in range(33)])


@pytest.mark.parametrize(
    ("holder", "held", "so"),
    [
        (("8:1", "/a"), ("8:1", "/a"), True),
        (("8:1", "/a"), ("8:1", "/a/b"), True),
        (("8:1", "/"), ("8:1", "/a"), True),
        (("8:1", "/a"), ("8:1", "/ab"), False),
        (("8:1", "/a/b"), ("8:1", "/a"), False),
        (("8:1", "/a"), ("8:2", "/a/b"), False),
    ],
)
def test_places(holder: tuple[str, str], held: tuple[str, str], so: bool) -> None:
    """One lies in another when it is on the same file system and below it, name by name."""
    assert Place(*holder).holds(Place(*held)) is so


@pytest.mark.parametrize(
    ("said", "canonical", "shown"),
    [
        ({"net.ipv4.ip_forward": True}, {"net/ipv4/ip_forward": "1"}, {"net.ipv4.ip_forward": "1"}),
        ({"net/ipv4/ip_forward": 0}, {"net/ipv4/ip_forward": "0"}, {"net.ipv4.ip_forward": "0"}),
        ({"net.ipv4.ping_group_range": " 0\t 7 "}, {"net/ipv4/ping_group_range": "0 7"}, None),
        ({"net.ipv4.conf.eth0/1.rp_filter": 2}, {"net/ipv4/conf/eth0.1/rp_filter": "2"}, None),
        (
            {"net/ipv4/conf/eth0.1/rp_filter": 2},
            {"net/ipv4/conf/eth0.1/rp_filter": "2"},
            {"net.ipv4.conf.eth0/1.rp_filter": "2"},
        ),
    ],
)
def test_parameters(said: dict[str, Any], canonical: dict[str, str], shown: dict[str, str] | None) -> None:
    """By either separator, as sysctl(8) takes them."""
    assert sysctls.parse(said) == canonical
    assert sysctls.parse(sysctls.show(canonical)) == canonical
    assert shown is None or sysctls.show(canonical) == shown


@given(st.text(max_size=30))
def test_no_parameter_leads_out_of_the_network(name: str) -> None:
    """Whatever is written, what is taken lies below net/, part by part."""
    try:
        path = min(sysctls.parse({name: 1}))
    except ValueError:
        return
    parts = path.split("/")
    assert parts[0] == "net"
    assert not {"", ".", ".."} & set(parts)


@pytest.mark.parametrize("mode", ["", "rw", "8", "0668", "4755", "00660"])
def test_modes_of_devices(mode: str) -> None:
    """Three octal digits; nothing that is more than permission."""
    if mode == "":
        assert nodes.parse([{"path": "/dev/x", "mode": mode}]) == [{"path": "/dev/x", "access": "rw", "mode": "0600"}]
        return
    with pytest.raises(ValueError, match="is not one"):
        nodes.parse([{"path": "/dev/x", "mode": mode}])


def test_ranges_of_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that a user of the host has been given is refused, one that root has been given is not."""
    file = tmp_path / "subuid"
    file.write_text("user:200000:65536\nroot:400000:65536\n", encoding="ascii")
    monkeypatch.setattr(ids, "_SUBORDINATE", (str(file),))
    for first in (140_000, 200_000, 265_535):
        with pytest.raises(ValueError, match="subuid or subgid give"):
            ids.check_fixed(first)
    for first in (265_536, 400_000, 1_000_000, ids.FIRST - ids.COUNT, ids.LAST + 1):
        ids.check_fixed(first)
    for first in (0, 65_535, ids.FIRST - 1, ids.FIRST, ids.LAST, (1 << 32) - 65_536):
        with pytest.raises(ValueError, match=str(first)):
            ids.check_fixed(first)
