# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails in the host's network: what they reach there and cannot change, and what cannot be had together with it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import policy
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    inside,
    jail,
    module,
    options_changed,
    pid_of,
    refused,
    shell,
)
from ansible_collections.cellblock.jails.tests.integration.support.wiring import everything

_ETH0: dict[str, Any] = {"name": "eth0", "bridge": "br-place", "addresses": ["10.88.0.2/24"], "gateway": "10.88.0.1"}
_AF_INET, _AF_PACKET, _SOCK_RAW, _ICMP = 2, 17, 3, 1
_EPERM = "EPERM"


@pytest.fixture
def shared(name: str, probe: str) -> str:
    """A running jail in the host's network."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", probe])
    module("jail_net", name=name, network="host")
    module("jail_state", name=[name], command=["sleep", "100000"], state="started")
    return name


@pytest.fixture
def port() -> Iterator[int]:
    """A port of the host's loopback at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def _connects(name: str, port: int) -> bool:
    return jail("exec", name, "--", "nc", "-w", "2", "127.0.0.1", str(port), "-e", "true").returncode == 0


def _restart(name: str, **wiring: Any) -> None:
    module("jail_net", name=name, **wiring)
    module("jail_state", name=[name], state="restarted")


def _drift(name: str) -> list[str]:
    found = json.loads(jail("audit", "--json", name).stdout)
    return [f"{each}: {found['facts'][each]}" for each in found["drift"]]


def test_it_reaches_the_hosts_loopback(shared: str, port: int) -> None:
    """From its first process on, and by exec; one with a network of its own does not."""
    own = os.readlink("/proc/self/ns/net")
    assert os.readlink(f"/proc/{pid_of(shared)}/ns/net") == own
    assert inside(shared, "readlink", "/proc/self/ns/net").strip() == own
    assert _connects(shared, port)
    _restart(shared, network="private")
    assert not _connects(shared, port)
    assert os.readlink(f"/proc/{pid_of(shared)}/ns/net") != own


def test_the_host_reaches_it(shared: str) -> None:
    command = ["sh", "-c", "mkdir -p /www; echo hello >/www/index.html; exec httpd -f -p 127.0.0.1:8089 -h /www"]
    module("jail_state", name=[shared], command=command, state="restarted")
    fetched = subprocess.run(
        ["busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8089/"], check=True, capture_output=True, timeout=10
    )
    assert fetched.stdout == b"hello\n"


@pytest.mark.parametrize("userns", ["auto", "host"])
def test_it_cannot_change_the_network(shared: str, userns: str) -> None:
    """Not as the host's root either, by its capabilities; every attempt succeeds in the hands of the host."""
    module("jail_state", name=[shared], userns=userns, state="restarted")
    attempts = (
        "ip link add name br-place type bridge",
        "ip addr add 10.88.9.1/32 dev lo",
        "ip route add unreachable 10.88.8.0/24",
        "ip link set lo mtu 1600",
    )
    before = everything()
    for attempt in attempts:
        done = jail("exec", shared, "--", "sh", "-c", attempt)
        assert done.returncode != 0, attempt
        assert b"not permitted" in done.stderr, done
    for path in ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/lo/arp_ignore"):
        assert jail("exec", shared, "--", "sh", "-c", f"echo 1 >{path}").returncode != 0
    assert everything() == before
    for attempt in attempts:
        subprocess.run(attempt.split(), check=True)
    for undo in ("link del br-place", "addr del 10.88.9.1/32 dev lo", "route del unreachable 10.88.8.0/24"):
        subprocess.run(["ip", *undo.split()], check=True)
    subprocess.run(["ip", "link", "set", "lo", "mtu", "65536"], check=True)
    assert everything() == before


def test_it_has_no_raw_sockets(shared: str, probe: str) -> None:
    """Not even where all families are opened. With them and the host's user namespace it does: that is the control."""

    def answers() -> list[str]:
        raw = inside(shared, probe, "socket", *map(str, (_AF_INET, _SOCK_RAW, _ICMP)))
        packet = inside(shared, probe, "socket", *map(str, (_AF_PACKET, _SOCK_RAW, 0)))
        return [raw.strip(), packet.strip()]

    assert answers() == [_EPERM, "EAFNOSUPPORT"]
    module("jail_state", name=[shared], allow_socket_af=True, state="restarted")
    assert answers() == [_EPERM, _EPERM]
    module("jail_state", name=[shared], allow_raw_sockets=True, userns="host", state="restarted")
    assert _EPERM not in answers()


def test_its_sys_shows_no_more_than_any(shared: str) -> None:
    """A sysfs that nobody can write to, under the covers of every jail, and nothing of what lies on the host's."""
    system = {mount.target: mount for mount in mounts.mount_table(str(pid_of(shared))) if mount.target[:4] == "/sys"}
    assert system["/sys"].fstype == "sysfs"
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(system["/sys"].flags.split(","))
    assert {mount.fstype for path, mount in system.items() if path != "/sys"} <= {"tmpfs"}
    covered = [f"/sys/{name}" for name in policy.MASKED_SYS if "*" not in name and os.path.isdir(f"/sys/{name}")]
    assert covered
    for path in covered:
        assert inside(shared, "ls", "-A", path) == ""
    assert jail("exec", shared, "--", "mkdir", "/sys/fs/x").returncode != 0
    assert Path("/sys/devices/system/cpu/online").read_text(encoding="ascii") == inside(
        shared, "cat", "/sys/devices/system/cpu/online"
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"userns": "host"}, {"allow_mount": True}, {"children_max": 2}, {"securelevel": 3}],
    ids=lambda options: "+".join(options) or "default",
)
def test_it_is_as_it_was_settled(shared: str, options: dict[str, Any]) -> None:
    """And it is found when it is another's network that it is in."""
    module("jail_state", name=[shared], **options, state="restarted")
    assert _drift(shared) == []
    assert os.readlink(f"/proc/{pid_of(shared)}/ns/net") == os.readlink("/proc/self/ns/net")
    assert inside(shared, "readlink", "/proc/self/ns/net").strip() == os.readlink("/proc/self/ns/net")


def test_one_that_should_have_its_own_is_found(shared: str) -> None:
    """What its start is said to have settled is held against the kernel's word, of each of its processes."""
    file = Path(layout.running(shared)) / "live.json"
    recorded = json.loads(file.read_text(encoding="utf-8"))
    recorded["isolation"]["shares_network"] = False
    file.write_text(json.dumps(recorded), encoding="utf-8")
    assert {each.partition(":")[0] for each in _drift(shared)} == {"namespaces.net", "processes"}


def test_a_change_waits_for_a_restart(box: str) -> None:
    """Both ways, and what needs a network of the jail's own waits too; nothing is done to the host's meanwhile."""
    module("jail_net", name=box, interfaces=[_ETH0])
    result = module("jail_net", name=box, network="host", interfaces=[])
    assert result["jails"][box]["restart_required"] == ["network"]
    assert options_changed(result, box) == [("interfaces", "live"), ("network", "record")]
    again = module("jail_net", name=box, network="host", interfaces=[])
    assert not again["changed"]
    assert again["jails"][box]["restart_required"] == ["network"]
    module("jail_state", name=[box], state="restarted")
    result = module("jail_net", name=box, network="host")
    assert not result["changed"]
    assert result["jails"][box]["restart_required"] == []

    before = everything()
    wish: dict[str, Any] = {"name": box, "network": "private", "interfaces": [_ETH0]}
    wish["publish"] = [{"host_port": "8088", "jail_port": "80"}]
    result = module("jail_net", **wish)
    assert set(result["jails"][box]["restart_required"]) == {"network", "interfaces", "publish"}
    assert {how for _option, _before, _after, how in actions(result, box)} == {"record"}
    result = module("jail_state", name=[box], sysctls={"net.ipv4.ip_default_ttl": 33})
    assert result["jails"][box]["restart_required"] == ["sysctls"]
    assert everything() == before
    assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text(encoding="ascii") != "33\n"
    module("jail_state", name=[box], state="restarted")
    result = module("jail_net", **wish)
    assert not result["changed"]
    assert result["jails"][box]["restart_required"] == []
    assert "10.88.0.2/24" in inside(box, "ip", "addr")
    assert inside(box, "cat", "/proc/sys/net/ipv4/ip_default_ttl") == "33\n"


def test_what_it_gives_up_is_in_every_result(shared: str) -> None:
    """Of each module, changed or not, as long as it is so."""
    for check in (True, False):
        for result in (
            module("jail_net", check=check, name=shared, network="host"),
            module("jail_state", check=check, name=[shared], state="started"),
            module("jail_limits", check=check, name=shared),
        ):
            (sentence,) = [each for each in result["jails"][shared]["degraded"] if each.startswith("network: ")]
            assert "CVE-2020-15257" in sentence
    _restart(shared, network="private")
    assert module("jail_net", name=shared)["jails"][shared]["degraded"] == []


@pytest.mark.parametrize(
    ("option", "value"),
    [("interfaces", [_ETH0]), ("publish", [{"host_port": "8087", "jail_port": "80", "jail_address": "10.88.0.2"}])],
)
def test_what_needs_a_network_of_its_own(name: str, option: str, value: Any) -> None:
    """Said together, or one after the other in any order: both are named, and nothing is recorded."""
    wish = {"interfaces": [_ETH0], option: value}
    assert "network=host" in refused("jail_net", name=name, network="host", **wish)
    module("jail_net", name=name, **wish)
    others: dict[str, Any] = {} if option == "interfaces" else {"interfaces": []}
    message = refused("jail_net", name=name, network="host", **others)
    assert option in message
    assert "network=host" in message
    module("jail_net", name=name, network="host", interfaces=[], publish=[])
    message = refused("jail_net", name=name, interfaces=[_ETH0])
    assert "interfaces" in message
    assert "network=host" in message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sysctls": {"net.ipv4.ip_forward": 1}}, "sysctls"),
        ({"allow_raw_sockets": True}, "allow_raw_sockets"),
        ({"capabilities": {"add": ["NET_ADMIN"]}}, "capabilities"),
    ],
)
def test_what_of_its_isolation_needs_one(name: str, options: dict[str, Any], said: str) -> None:
    """Likewise over two modules."""
    module("jail_net", name=name, network="host")
    message = refused("jail_state", name=[name], **options)
    assert said in message
    assert "network=host" in message
    module("jail_net", name=name, network="private")
    module("jail_state", name=[name], **options)
    message = refused("jail_net", name=name, network="host")
    assert said in message
    assert "network=host" in message


def test_what_is_the_hosts_is_not_shown_as_its_own(shared: str) -> None:
    found = module("jail_info", name=[shared], gather=["net", "traffic"])["jails"][shared]
    assert (found["net"]["network"], found["net"]["interfaces"], found["traffic"]) == ("host", [], {})
    line = next(each for each in jail("ls").stdout.decode().splitlines() if each.startswith(shared))
    assert "host" in line.split()


def test_its_name_servers_are_its_own(shared: str) -> None:
    """At a start and live."""
    host = Path("/etc/resolv.conf").read_bytes() if os.path.exists("/etc/resolv.conf") else None
    _restart(shared, dns=["192.0.2.53"])
    assert inside(shared, "cat", "/etc/resolv.conf") == "nameserver 192.0.2.53\n"
    result = module("jail_net", name=shared, dns=["192.0.2.54"], search=["example.com"])
    assert {how for _option, how in options_changed(result, shared)} == {"live"}
    assert shell(shared, "cat /etc/resolv.conf") == "nameserver 192.0.2.54\nsearch example.com\n"
    assert (Path("/etc/resolv.conf").read_bytes() if host is not None else None) == host


def test_stopping_it_leaves_the_host_as_it_was(shared: str) -> None:
    before = everything()
    for state in ("stopped", "started", "restarted", "absent"):
        module("jail_state", name=[shared], state=state)
        assert everything() == before
