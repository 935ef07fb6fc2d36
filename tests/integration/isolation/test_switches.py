# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FreeBSD's switches and ``securelevel``: what each opens, and that it is closed without."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import capabilities, observe
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    inside,
    jail,
    module,
    pid_of,
    refused,
    shell,
)
from ansible_collections.cellblock.jails.tests.integration.support.isolated import Box

_RAW = ("socket", "2", "3", "1")
_PACKET = ("socket", "17", "3", "0")
_VSOCK = ("socket", "40", "1", "0")
_NETFILTER = ("socket", "16", "3", "12")


def test_raw_sockets(box: Box) -> None:
    """``allow_raw_sockets`` opens raw IP sockets, and packet sockets only together with ``allow_socket_af``."""
    assert box.answers(*_RAW) == {"EPERM"}
    assert box.answers(*_RAW, allow_raw_sockets=True) == {"ok"}
    assert box.entered(*_PACKET) == "EAFNOSUPPORT"
    assert box.answers(*_PACKET, allow_socket_af=True) == {"EPERM"}
    assert box.answers(*_PACKET, allow_socket_af=True, allow_raw_sockets=True) == {"ok"}


def test_families(box: Box) -> None:
    """``allow_socket_af`` opens other families and the other protocols of netlink; nothing else of the filter goes."""
    assert box.answers(*_VSOCK) == {"EAFNOSUPPORT"}
    assert box.entered(*_NETFILTER) == "EPROTONOSUPPORT"
    assert box.answers(*_VSOCK, allow_socket_af=True) == {"ok"}
    assert box.entered(*_NETFILTER) == "ok"
    assert box.entered("unshare", "0x10000000") == "EPERM"
    assert box.entered("socket", "77", "1", "0") == "EAFNOSUPPORT"


def test_system_v_ipc(box: Box) -> None:
    """``allow_sysvipc`` makes the calls exist."""
    assert box.answers("shmget") == {"ENOSYS"}
    assert box.answers("shmget", allow_sysvipc=True) == {"ok"}


def test_host_name(box: Box) -> None:
    """``allow_set_hostname`` lets the jail rename itself. The capability that it takes mounts nothing, makes no
    namespace and freezes no file system. The host's own name stays."""
    before = os.uname().nodename
    assert box.answers("sethostname", "mine") == {"EPERM"}
    assert inside(box.name, "hostname") == f"{box.name}\n"
    assert box.answers("sethostname", "mine", allow_set_hostname=True) == {"ok"}
    assert inside(box.name, "hostname") == "mine\n"
    assert os.uname().nodename == before
    for words in (
        ("mount", "/mnt", "tmpfs"),
        ("unshare", "0x10000000"),
        ("unshare", "0x00020000"),
        ("clone", "0x00020000"),
        ("freeze", "/"),
        ("open_by_handle_at",),
    ):
        assert box.entered(*words) == "EPERM", words
    assert "SYS_ADMIN" in capabilities.to_names(observe.capability_sets(pid_of(box.name))["bounding"])


def test_without_the_filter_that_capability_would_mount(box: Box) -> None:
    """The control for the last test: unconfined, the same capability does mount and freeze."""
    box.start(allow_set_hostname=True, seccomp="unconfined")
    assert box.entered("mount", "/mnt", "tmpfs") == "ok"
    assert box.entered("unshare", "0x00020000") == "ok"


def test_flags_of_files(box: Box) -> None:
    """``allow_chflags`` is refused where the kernel could not honour it; with the host's user namespace it lets flags
    be set and taken away, but not from securelevel 1 on."""
    immutable = "0x10"
    message = refused("jail_state", name=[box.name], userns="auto", allow_chflags=True)
    assert "allow_chflags: " in message
    assert "userns=host" in message
    box.start(userns="host")
    shell(box.name, "touch /root/file")
    assert box.entered("setflags", "/root/file", immutable) == "EPERM"
    box.start(userns="host", allow_chflags=True, securelevel=1)
    assert box.entered("setflags", "/root/file", immutable) == "EPERM"
    box.start(userns="host", allow_chflags=True)
    assert box.entered("setflags", "/root/file", immutable) == "ok"
    try:
        assert jail("exec", box.name, "--", "rm", "-f", "/root/file").returncode != 0
    finally:
        assert box.entered("setflags", "/root/file", "0") == "ok"
    inside(box.name, "rm", "/root/file")


def test_a_capability_alone_would_not_do(box: Box) -> None:
    """The control for the refusal above: in the jail's own user namespace the capability is there, and the kernel does
    not take it."""
    box.start(capabilities={"add": ["LINUX_IMMUTABLE"]})
    shell(box.name, "touch /root/file")
    assert box.entered("setflags", "/root/file", "0x10") == "EPERM"


@pytest.mark.parametrize(("level", "gone"), [(0, 0), (1, 3), (2, 4), (3, 5)])
def test_securelevel_is_an_upper_bound(box: Box, level: int, gone: int) -> None:
    """From each level on one more group of capabilities cannot be had, and at the third no sysctl of the network can be
    written."""
    order = ["LINUX_IMMUTABLE", "SYS_MODULE", "SYS_RAWIO", "SYS_TIME", "NET_ADMIN"]
    box.start(securelevel=level, capabilities={"add": order})
    had = set(capabilities.to_names(observe.capability_sets(pid_of(box.name))["bounding"]))
    assert had & set(order) == set(order[gone:])
    written = jail("exec", box.name, "--", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    assert (written.returncode == 0) == (level < 3)
    if level == 3:
        assert b"Read-only" in written.stderr


@pytest.mark.row(46)
@pytest.mark.parametrize("userns", ["auto", "host"])
def test_parameters_of_its_network(box: Box, userns: str) -> None:
    """A jail's root cannot let its programs use addresses that are not its own, also where it is root of the host, of
    whom the kernel asks for no capability; ``sysctls`` sets them. With CAP_NET_ADMIN it can, which is the control."""
    path = "/proc/sys/net/ipv4/ip_nonlocal_bind"
    attack = ("exec", box.name, "--", "sh", "-c", f"echo 1 > {path}")
    box.start(userns=userns)
    assert jail(*attack).returncode != 0
    module("jail_state", name=[box.name], sysctls={"net.ipv4.ip_nonlocal_bind": 1})
    assert inside(box.name, "cat", path) == "1\n"
    module("jail_state", name=[box.name], sysctls={})
    assert inside(box.name, "cat", path) == "0\n"
    box.start(userns=userns, capabilities={"add": ["NET_ADMIN"]})
    assert jail(*attack).returncode == 0


@pytest.mark.parametrize("flags", ["0x10", "0x20"], ids=["immutable", "append-only"])
@pytest.mark.parametrize("kind", ["overlay", "directory"])
def test_what_such_a_flag_keeps_is_removed_all_the_same(name: str, probe: str, kind: str, flags: str) -> None:
    """A jail's root that may set them does so on files and directories and on its own log: the jail can be started
    again and removed. (For root of the host rm(1) cannot remove the log, nor files that are not in an overlay.)"""
    module("jail_rootfs", name=name, storage=kind, method="skeleton", binaries=["busybox", probe])
    command = ["sh", "-c", "head -c 2000000 /dev/zero; exec sleep 100000"]  # so long a log is put aside
    module("jail_state", name=[name], userns="host", allow_chflags=True, command=command, state="started")
    shell(name, "mkdir -p /srv/a/b/c; touch /srv/a/b/file")
    for path in ("/srv/a/b/file", "/srv/a/b/c", "/srv/a/b", "/srv/a", "/srv", "/proc/1/fd/1"):
        assert inside(name, probe, "setflags", path, flags) == "ok\n"
    kept = [layout.live_console(name), *([f"{layout.storage(name)}/root/srv/a"] if kind == "directory" else [])]
    for path in kept:
        assert subprocess.run(["rm", "-rf", path], capture_output=True, check=False).returncode
    module("jail_state", name=[name], state="restarted")
    assert inside(name, probe, "setflags", "/proc/1/fd/1", flags) == "ok\n"
    module("jail_state", name=[name], state="absent")
    assert not os.path.exists(layout.storage(name))
    assert not [entry for entry in os.listdir(layout.LOG) if entry.startswith(f"{name}.")]
