# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be: one clear error for each jail, nothing half made, neighbours as they were."""

from __future__ import annotations

import glob
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage
from ansible_collections.cellblock.jails.tests.integration.support import calls, evidence, sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, inside, module, refused

_SKELETON: dict[str, Any] = {"method": "skeleton", "binaries": ["busybox"]}


def _interface(**more: Any) -> dict[str, Any]:
    return {"interfaces": [{"name": "e0", "bridge": "br-bad", **more}]}


@pytest.mark.row(8)
@pytest.mark.parametrize(
    ("which", "options", "said"),
    [
        ("jail_limits", {"memory_max": "much"}, "memory_max: 'much' is not a size"),
        ("jail_limits", {"memory_max": "-1"}, "memory_max: '-1' is not a size"),
        ("jail_limits", {"memory_max": "12"}, "memory_max: '12' is less than one page"),
        ("jail_limits", {"memory_max": "9" * 400 + "T"}, "memory_max: "),
        ("jail_limits", {"cpus": "0"}, "cpus: '0' CPUs is out of range"),
        ("jail_limits", {"cpus": "nan"}, "cpus: 'nan' is not a number of CPUs"),
        ("jail_limits", {"cpus": "1e400"}, "cpus: '1e400' is not a number of CPUs"),
        ("jail_limits", {"pids_max": "0"}, "pids_max: '0' is not a number of tasks"),
        ("jail_limits", {"pids_max": "²"}, "pids_max: '²' is not a number of tasks"),
        ("jail_state", {"hostname": "a b"}, "hostname: 'a b' is not a host name"),
        ("jail_state", {"hostname": "a" * 65}, "is not a host name"),
        ("jail_state", {"stop_signal": "SIGNAL"}, "stop_signal: 'SIGNAL' is not a signal"),
        ("jail_state", {"stop_signal": "SIGRTMIN+99"}, "stop_signal: 'SIGRTMIN+99' is not a signal"),
        ("jail_state", {"stop_signal": "SIGRTMIN+²"}, "stop_signal: 'SIGRTMIN+²' is not a signal"),
        ("jail_state", {"stop_timeout": -1}, "stop_timeout: -1.0 is not between 0 and 3600 seconds"),
        ("jail_state", {"stop_timeout": "nan"}, "stop_timeout"),
        ("jail_state", {"init": "sbin/init"}, "init: 'sbin/init' is not an absolute path"),
        ("jail_state", {"command": ["a\0b"]}, "command: a word of a command cannot hold a NUL"),
        ("jail_net", {"dns": ["dns.example.org"]}, "dns: 'dns.example.org'"),
        ("jail_net", {"dns": ["192.0.2.1\nnameserver 203.0.113.1"]}, "dns: "),
        ("jail_net", {"search": ["a b"]}, "search: 'a b' is not a domain"),
        ("jail_net", {"search": ["a\nnameserver 203.0.113.1"]}, "search: "),
        ("jail_net", _interface(addresses=["10.0.0.2"]), "address 10.0.0.2 has no prefix length"),
        ("jail_net", _interface(addresses=["10.0.0.300/24"]), "10.0.0.300"),
        (
            "jail_net",
            _interface(addresses=["10.0.0.2/24"], gateway="10.0.1.1"),
            "gateway 10.0.1.1 lies in the prefix of none of its IPv4 addresses (10.0.0.2/24)",
        ),
        ("jail_net", _interface(mac="ff:ff:ff:ff:ff:ff"), "mac ff:ff:ff:ff:ff:ff"),
        ("jail_net", _interface(mtu=10), "mtu 10 is not in the range"),
        ("jail_net", {"interfaces": [{"name": "../x", "bridge": "b"}]}, "interface name '../x' is not usable"),
        ("jail_net", {"interfaces": [{"name": "e0", "bridge": "b;reboot"}]}, "bridge name 'b;reboot' is not usable"),
        ("jail_rootfs", {"method": "skeleton", "suite": "bookworm"}, "suite: means nothing to method skeleton"),
        ("jail_rootfs", {"method": "debootstrap"}, "suite: method debootstrap needs one"),
        ("jail_rootfs", {}, "method: must be one of"),
        ("jail_rootfs", {"method": "skeleton", "binaries": ["--version"]}, "binaries: '--version' is not"),
        ("jail_rootfs", {"method": "debootstrap", "suite": "-x"}, "suite: '-x' is not a suite"),
        (
            "jail_rootfs",
            {"method": "debootstrap", "suite": "x", "mirror": "ftp://x"},
            "mirror: 'ftp://x' is not a mirror",
        ),
    ],
)
def test_wrong_values_are_named_and_leave_nothing(name: str, which: str, options: dict[str, Any], said: str) -> None:
    """The message has the jail, the option, what was wrong with it; in check mode too. Nothing is recorded or made."""
    before = evidence.everything()
    for check in (True, False):
        given = [name] if which == "jail_state" else name
        message = refused(which, check=check, name=given, **options)
        assert message.startswith(f"{name}: ")
        assert said in message
        assert "\n" not in message
    after = evidence.everything()
    gone = {
        path
        for path in after["files"]
        if path not in before["files"] and not path.startswith((layout.LOCKS, layout.LOG))
    }
    assert gone - {layout.TEMPLATES, layout.STORAGE, layout.RUN, layout.ETC} == set()
    assert after["network"] == before["network"]
    assert name not in module("jail_info")["jails"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/no/such/init"], "no such program (/no/such/init)"),
        (["/etc/passwd"], "Permission denied (/etc/passwd)"),
        ([""], "command"),
        (["sh", "-c", "echo why not; exit 3"], "why not"),
        (["false"], "ended"),
    ],
)
def test_an_init_that_does_not_run_is_an_error(name: str, command: list[str], said: str) -> None:
    """An init that is not there, cannot be run, or ends at once: the start fails, says so with what it printed, and
    leaves nothing running or half made."""
    module("jail_rootfs", name=name, **_SKELETON)
    message = refused("jail_state", name=[name], command=command, state="started")
    assert said in message
    assert message.startswith(f"{name}: command: ")
    assert not live.group_of(name).exists()
    assert not os.path.exists(layout.running(name))
    assert not [device for device in sandbox.devices() if device.startswith("vj")]


def test_a_program_that_the_host_lacks_is_named(name: str) -> None:
    """A skeleton of a program that is not there is not made, and nothing of it stays."""
    assert "the host has no program no-such" in refused(
        "jail_rootfs", name=name, method="skeleton", binaries=["no-such"]
    )
    assert name not in module("jail_info")["jails"]
    assert [entry for entry in os.listdir(layout.TEMPLATES) if entry.startswith(".")] == []


def test_a_failed_start_can_be_put_right(name: str) -> None:
    """The next run with what was wrong corrected converges."""
    module("jail_rootfs", name=name, **_SKELETON)
    refused("jail_state", name=[name], command=["/nowhere"], state="started")
    module("jail_state", name=[name], command=["sleep", "99"], state="started")
    assert inside(name, "echo", "up") == "up\n"


@pytest.fixture
def bare_host(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment of a host without debootstrap and the library of nft: what is there is an empty file."""
    library = [*glob.glob("/usr/lib/*/libnftables.so.1"), *glob.glob("/usr/lib*/libnftables.so.1")]
    covers = [path for path in ("/usr/sbin/debootstrap", *map(os.path.realpath, library)) if os.path.exists(path)]
    empty = tmp_path / "empty"
    empty.write_text("", encoding="ascii")
    empty.chmod(0o644)
    for path in covers:
        subprocess.run(["mount", "--bind", str(empty), path], check=True)
    try:
        yield {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    finally:
        for path in covers:
            subprocess.run(["umount", path], check=True)


def test_missing_debootstrap_is_named_with_its_package(bare_host: dict[str, str], name: str) -> None:
    """debootstrap that is not there (here: cannot be executed) is named with the package that has it."""
    message = refused("jail_rootfs", name=name, method="debootstrap", suite="bookworm")
    assert "debootstrap is not installed on the host; install the package debootstrap there" in message
    assert storage.describe(name) is None


def _forwarding() -> str:
    return Path("/proc/sys/net/ipv4/ip_forward").read_text(encoding="ascii")


def test_missing_nftables_is_named_and_in_nobodys_way(
    bare_host: dict[str, str], names: Callable[[int], list[str]]
) -> None:
    """Without the library of nft a jail that is to have an interface does not start, and the message has the package.
    Nothing of the attempt stays, so that other jails, and this one without interfaces, work."""
    wants, other = names(2)
    interface = {"name": "e0", "bridge": "br-b", "addresses": ["10.87.0.2/24"], "masquerade": True}
    module("jail_rootfs", jails=[{"name": each, **_SKELETON} for each in (wants, other)])
    before = _forwarding(), sandbox.devices()
    module("jail_net", name=wants, interfaces=[interface])
    message = refused("jail_state", name=[wants], command=["sleep", "99"], state="started")
    assert "Debian's package is nftables" in message
    assert not live.group_of(wants).exists()
    assert (_forwarding(), sandbox.devices()) == before
    module("jail_state", name=[other], command=["sleep", "99"], state="started")
    module("jail_net", name=wants, interfaces=[])
    module("jail_state", name=[wants], state="started")


def test_a_missing_pyroute2_is_named_with_its_package(name: str, tmp_path: Path) -> None:
    """A host's Python without pyroute2 starts jails that need no network, and says what is missing for the others."""
    blocked = (
        "import sys; sys.modules['pyroute2'] = None; import runpy; "
        f"sys.path.insert(0, {os.path.join(calls.ROOT, '.collections')!r})"
    )
    line = calls.command_line("jail_net")
    line[line.index("-c") + 1] = line[line.index("-c") + 1].replace(
        "import runpy, sys, types", f"{blocked}\nimport types"
    )
    module("jail_rootfs", name=name, **_SKELETON)
    module("jail_state", name=[name], command=["sleep", "99"], state="started")
    options = calls.arguments({"name": name, "interfaces": [{"name": "e0", "bridge": "br-b"}]})
    done = subprocess.run(line, input=options, capture_output=True, text=True, check=False)
    result = calls.checked(done.returncode, done.stdout, done.stderr)
    assert result["failed"]
    assert "pyroute2" in result["msg"]
    assert "python3-pyroute2" in result["msg"]
    assert inside(name, "echo", "runs") == "runs\n"


def test_damaged_records_are_named(name: str) -> None:
    """A file of desired state that is no JSON is named, and does no harm to other jails."""
    module("jail_limits", name=name, memory_max="1G")
    path = Path(layout.desired(name)) / "limits.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:10])
    try:
        result = attempt("jail_limits", name=name, memory_max="2G")
        assert result["failed"]
        assert str(path) in result["msg"]
    finally:
        path.write_bytes(whole)


def test_a_start_without_a_root_file_system_tells_what_to_do(name: str) -> None:
    """The module that makes one is named."""
    message = refused("jail_state", name=[name], state="started")
    assert "jail_rootfs" in message
    assert not live.group_of(name).exists()


def test_a_template_that_is_gone_is_named(name: str) -> None:
    """An overlay whose template somebody removed does not start, and says which directory is missing."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", "true"])
    stored = storage.describe(name)
    assert stored is not None
    assert stored.lower is not None
    os.rename(stored.lower, f"{stored.lower}.gone")
    try:
        message = refused("jail_state", name=[name], state="started")
        assert stored.lower in message
    finally:
        os.rename(f"{stored.lower}.gone", stored.lower)


def test_a_full_disk_is_named_and_leaves_nothing(name: str) -> None:
    """A template that does not fit: the file system is named, no half of it is left, and with room it is built."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", layout.TEMPLATES], check=True)
    try:
        message = refused("jail_rootfs", name=name, **_SKELETON)
        assert f"tmpfs file system mounted on {layout.TEMPLATES}" in message
        assert os.listdir(layout.TEMPLATES) == []
        assert name not in module("jail_info")["jails"]
    finally:
        subprocess.run(["umount", layout.TEMPLATES], check=True)
    module("jail_rootfs", name=name, **_SKELETON)


def test_a_bridge_name_that_is_taken_is_named(name: str) -> None:
    """A device of the host that is no bridge is not taken for one."""
    subprocess.run(["ip", "link", "add", "br-dummy", "type", "veth", "peer", "name", "br-dummy2"], check=True)
    try:
        module("jail_rootfs", name=name, **_SKELETON)
        module("jail_net", name=name, interfaces=[{"name": "e0", "bridge": "br-dummy"}])
        message = refused("jail_state", name=[name], command=["sleep", "99"], state="started")
        assert "br-dummy is no bridge but veth" in message
        assert not live.group_of(name).exists()
    finally:
        subprocess.run(["ip", "link", "del", "br-dummy"], check=True)


def test_memory_below_what_is_in_use_is_an_error_that_says_so(box: str) -> None:
    """A limit that the kernel cannot reach is an error or is reached; it is never only recorded in silence."""
    inside(box, "sh", "-c", "head -c 30000000 /dev/zero > /dev/shm/held")
    result = attempt("jail_limits", name=box, memory_max="8M")
    used = live.group_of(box).get("memory_used") or 0
    if result.get("failed"):
        assert "memory" in result["msg"]
    else:
        time.sleep(0.1)
        assert used <= 8 << 20 or live.find(box) is None
