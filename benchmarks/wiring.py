# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wiring many jails at once, by this collection and by the tools that Podman and LXC have for their containers."""

from __future__ import annotations

import abc
import json
import os
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import namespaces, process
from ansible_collections.cellblock.jails.plugins.module_utils.net import addresses
from ansible_collections.cellblock.jails.plugins.module_utils.net.addresses import Interface
from ansible_collections.cellblock.jails.plugins.module_utils.net.network import Network

from . import report, spaces

_NETAVARK = ("/usr/lib/podman/netavark", "/usr/libexec/podman/netavark")
_CNI = "/usr/lib/cni"
_USER_NIC = ("/usr/libexec/lxc/lxc-user-nic", "/usr/lib/x86_64-linux-gnu/lxc/lxc-user-nic")

NOTES = """\
jail: one process, imports of pyroute2 and libnftables included; bridge, veth, IPv4 and IPv6 addresses, two default
  routes, masquerading, the filter at the host's end, counts of connections and neighbours, and it waits until packets
  pass. Likewise with one IPv4 address only, without masquerading, filter and counts: what the others do, and less.
netavark: what Podman calls for each container; bridge, veth, an IPv4 address, a default route, masquerading; no filter.
cni bridge: what Podman calls where it is set up for CNI, without its plugins firewall and portmap; likewise.
lxc-user-nic: what LXC calls for containers of ordinary users; bridge port and veth alone, no addresses, no filter.
  The three are a program for each container, as they are called by Podman and LXC: theirs is no list."""

Times = dict[str, dict[str, list[float]]]
"""Milliseconds for each jail, of each repetition, by contender, for ``setup`` and ``teardown``."""


class Contender(abc.ABC):
    """A way to wire network namespaces to one bridge."""

    name: str

    @abc.abstractmethod
    def missing(self) -> str | None:
        """Why it cannot be measured here, or ``None``."""

    @abc.abstractmethod
    def setup(self, made: Sequence[int]) -> None:
        """Wire these namespaces."""

    @abc.abstractmethod
    def teardown(self, made: Sequence[int]) -> None:
        """Take it away again."""


def measure(folder: str, number: int, repeat: int) -> tuple[Times, dict[str, str]]:
    """In turns; and why some cannot be measured."""
    every: list[Contender] = [Jails("jail"), Jails("jail, plain"), Netavark(), Cni(), UserNic(folder)]
    missing = {each.name: reason for each in every if (reason := each.missing())}
    found: Times = {each.name: {"setup": [], "teardown": []} for each in every if each.name not in missing}
    for _time in range(repeat):
        for each in every:
            if each.name in missing:
                continue
            with spaces.several(number) as made:
                for what, work in (("setup", each.setup), ("teardown", each.teardown)):
                    before = time.monotonic()
                    _apart(work, made)
                    found[each.name][what].append((time.monotonic() - before) * 1000 / number)
    return found, missing


def _apart(work: Callable[[Sequence[int]], None], made: Sequence[int]) -> None:
    """In a process of its own, which has imported nothing that the last one had."""
    if process.wait(process.fork(lambda: work(made))):
        raise JailError("wiring failed")


def table(found: Times) -> str:
    """Medians, and the ratio to ours."""
    ours = {what: statistics.median(samples) for what, samples in found["jail"].items()}
    rows = [["", "setup", "/ jail", "teardown", "/ jail"]]
    for name, times in found.items():
        row = [name]
        for what, samples in times.items():
            row += [f"{statistics.median(samples):.1f}", f"{statistics.median(samples) / ours[what]:.2f}"]
        rows.append(row)
    return report.columns(rows)


def interfaces(number: int, plain: bool = False) -> list[Interface]:
    """Those of the jail with this number."""
    host = number + 2
    value: dict[str, Any] = {
        "name": "eth0",
        "bridge": "br-bench",
        "addresses": [f"10.99.{host >> 8}.{host & 255}/16"],
        "gateway": "10.99.0.1",
    }
    if plain:
        value.update(
            spoof_protection=False, allow_router=True, allow_metadata=True, connections_max=0, neighbours_max=0
        )
    else:
        value["addresses"].append(f"fd99::{host:x}/64")
        value.update(gateway6="fd99::1", masquerade=True)
    return addresses.parse_interfaces(name_of(number), [value])


def name_of(number: int) -> str:
    """The name of the jail with this number."""
    return f"bench-{number}"


class Jails(Contender):
    """By this collection: as one run of ``jail_net`` does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._plain = name != "jail"

    def missing(self) -> str | None:
        return None

    def setup(self, made: Sequence[int]) -> None:
        with Network() as network:
            for number, space in enumerate(made):
                network.converge(space, name_of(number), number, interfaces(number, self._plain))

    def teardown(self, made: Sequence[int]) -> None:
        with Network() as network:
            left = [each for number in range(len(made)) for each in interfaces(number, self._plain)]
            for number, space in enumerate(made):
                gone = [left.pop(0)]
                network.release(name_of(number), gone, list, lambda: iter(left), [number])
                network.converge(space, name_of(number), number, [])


def _first(paths: Sequence[str]) -> str | None:
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def _call(command: Sequence[str], said: Any = None, environment: Mapping[str, str] | None = None) -> str:
    text = None if said is None else json.dumps(said)
    done = subprocess.run(
        command, input=text, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise JailError(f"{command[0]}: {done.stderr or done.stdout}")
    return done.stdout


class Netavark(Contender):
    """Podman's."""

    name = "netavark"

    def missing(self) -> str | None:
        if _first(_NETAVARK) is None:
            return "it is not installed"
        return None if shutil.which("iptables") else "it needs iptables"

    def setup(self, made: Sequence[int]) -> None:
        self._each("setup", made)

    def teardown(self, made: Sequence[int]) -> None:
        self._each("teardown", made)

    def _each(self, verb: str, made: Sequence[int]) -> None:
        program = _first(_NETAVARK)
        assert program
        for number, space in enumerate(made):
            _call([program, verb, spaces.path(space)], self._options(number))

    def _options(self, number: int) -> object:
        host = number + 2
        return {
            "container_id": name_of(number),
            "container_name": name_of(number),
            "networks": {"bench": {"static_ips": [f"10.95.{host >> 8}.{host & 255}"], "interface_name": "eth0"}},
            "network_info": {
                "bench": {
                    "name": "bench",
                    "id": "b" * 64,
                    "driver": "bridge",
                    "network_interface": "br-netavark",
                    "subnets": [{"subnet": "10.95.0.0/16", "gateway": "10.95.0.1"}],
                    "ipv6_enabled": False,
                    "internal": False,
                    "dns_enabled": False,
                    "ipam_options": {"driver": "host-local"},
                }
            },
        }


class Cni(Contender):
    """Podman's older ones."""

    name = "cni bridge"

    def missing(self) -> str | None:
        return None if _first([f"{_CNI}/bridge"]) else "it is not installed"

    def setup(self, made: Sequence[int]) -> None:
        self._each("ADD", made)

    def teardown(self, made: Sequence[int]) -> None:
        self._each("DEL", made)

    def _each(self, verb: str, made: Sequence[int]) -> None:
        for number, space in enumerate(made):
            environment = {
                "CNI_COMMAND": verb,
                "CNI_CONTAINERID": name_of(number),
                "CNI_NETNS": spaces.path(space),
                "CNI_IFNAME": "eth0",
                "CNI_PATH": _CNI,
            }
            _call([f"{_CNI}/bridge"], self._options(number), environment)

    def _options(self, number: int) -> object:
        host = number + 2
        address = {"address": f"10.94.{host >> 8}.{host & 255}/16", "gateway": "10.94.0.1"}
        return {
            "cniVersion": "0.4.0",
            "name": "bench",
            "type": "bridge",
            "bridge": "br-cni",
            "isGateway": True,
            "ipMasq": True,
            "ipam": {"type": "static", "addresses": [address], "routes": [{"dst": "0.0.0.0/0"}]},
        }


class UserNic(Contender):
    """LXC's. It takes a process, and a list of who may have how many."""

    name = "lxc-user-nic"

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._nics: list[str] = []

    def missing(self) -> str | None:
        program = _first(_USER_NIC)
        if program is None:
            return "it is not installed"
        settings = os.path.join(self._folder, "lxc")
        os.mkdir(settings)
        with open(os.path.join(settings, "lxc-usernet"), "w", encoding="ascii") as file:
            file.write("root veth br-lxc 10000\n")
        spaces.run(f"mount --bind {settings} /etc/lxc")
        spaces.run("ip link add br-lxc type bridge")
        spaces.run("ip link set br-lxc up")
        return None

    def setup(self, made: Sequence[int]) -> None:
        program = _first(_USER_NIC)
        assert program
        for number, space in enumerate(made):
            pid = _held(space)
            _call([program, "create", "/var/lib/lxc", name_of(number), str(pid), "veth", "br-lxc", "eth0"])
            os.kill(pid, signal.SIGKILL)
            process.wait(pid)

    def teardown(self, made: Sequence[int]) -> None:
        """As LXC does where it can: with the namespace's device the other end goes."""
        for space in made:
            spaces.run("ip link del eth0", space)


def _held(space: int) -> int:
    """The pid of a process in it."""

    def stay() -> None:
        process.die_with_parent()
        namespaces.setns(space, namespaces.CLONE_NEWNET)
        os.close(tell)
        signal.pause()

    ready, tell = os.pipe()
    pid = process.fork(stay)
    os.close(tell)
    os.read(ready, 1)
    os.close(ready)
    return pid
