# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each isolation option opens or closes: refused without it and working with it, or the other way round, for the
first process of a jail and for one that enters; and closed again when the option is taken back."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live, policy
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import capabilities, observe
from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    attempt,
    inside,
    jail,
    module,
    options_changed,
    pid_of,
    refused,
    shell,
)

_DEFAULTS: dict[str, Any] = {
    "allow_chflags": False,
    "allow_raw_sockets": False,
    "allow_set_hostname": False,
    "allow_socket_af": False,
    "allow_sysvipc": False,
    "securelevel": -1,
    "capabilities": {},
    "seccomp": "default",
    "no_new_privs": False,
    "masked_paths": {},
    "readonly_paths": {},
    "personality": "linux",
    "time_offset": {},
    "userns": "auto",
}


@pytest.fixture(scope="module")
def place(probe: str) -> Iterator[str]:
    """A jail that has the program that makes one system call."""
    name = f"{sandbox.PREFIX}isolation"
    try:
        module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", probe], trust_group="isolation")
        yield name
    finally:
        attempt("jail_state", name=[name], state="absent")


class Box:
    """That jail, for one test."""

    def __init__(self, name: str, probe: str) -> None:
        self.name = name
        self._probe = probe

    def start(self, words: list[str] | None = None, **options: Any) -> None:
        """Start it with these options, and the defaults of all others, its first process making this system call."""
        script = f"{self._probe} {' '.join(words)}; exec sleep 100000" if words else "exec sleep 100000"
        module("jail_state", name=[self.name], state="stopped")
        Path(layout.console(self.name)).unlink(missing_ok=True)
        command = ["sh", "-c", script]
        module("jail_state", name=[self.name], **{**_DEFAULTS, **options}, command=command, state="started")

    def answers(self, *words: str, **options: Any) -> set[str]:
        """How the first process and one that enters fare with a system call under these options."""
        self.start(list(words), **options)
        for _try in range(100):
            printed = jail("log", self.name).stdout.decode()
            if printed.endswith("\n"):
                break
            time.sleep(0.02)
        return {printed.strip(), self.entered(*words)}

    def entered(self, *words: str) -> str:
        """How one that enters fares."""
        return inside(self.name, self._probe, *words).strip()

    def settles(self, **options: Any) -> None:
        """Give it the options while it runs: recorded, waiting for the restart, made by it, and nothing left to do."""
        names = list(options)
        result = module("jail_state", name=[self.name], **options)
        assert options_changed(result, self.name) == [(name, "record") for name in names]
        assert result["jails"][self.name]["restart_required"] == names
        result = module("jail_state", name=[self.name], **options, state="restarted")
        assert result["jails"][self.name]["restart_required"] == []
        assert not module("jail_state", name=[self.name], **options, state="started")["changed"]


@pytest.fixture
def box(place: str, probe: str) -> Iterator[Box]:
    """The jail, which ends with the test."""
    yield Box(place, probe)
    attempt("jail_state", name=[place], **_DEFAULTS, state="stopped")


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


def test_capabilities(box: Box) -> None:
    """They are added to and taken from the bounding set, for the first process and for those that enter; programs feel
    it."""
    box.start()
    baseline = set(policy.CAPABILITIES)
    for options, expected in (
        ({}, baseline),
        ({"add": ["CAP_NET_RAW"]}, baseline | {"NET_RAW"}),
        ({"drop": ["chown", "CAP_KILL"]}, baseline - {"CHOWN", "KILL"}),
        ({"drop": ["ALL"], "add": ["CHOWN"]}, {"CHOWN"}),
    ):
        box.start(capabilities=options)
        for status in (
            Path(f"/proc/{pid_of(box.name)}/status").read_text(encoding="utf-8"),
            inside(box.name, "cat", "/proc/self/status"),
        ):
            lines = dict(line.split(":", 1) for line in status.splitlines())
            for key in ("CapBnd", "CapPrm", "CapEff"):
                assert set(capabilities.to_names(int(lines[key], 16))) == expected
            assert int(lines["CapInh"], 16) == int(lines["CapAmb"], 16) == 0
    shell(box.name, "touch /root/file; chown 5 /root/file")
    box.start(capabilities={"drop": ["CHOWN"]})
    assert jail("exec", box.name, "--", "chown", "6", "/root/file").returncode != 0


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


def test_no_new_privileges(box: Box) -> None:
    """A program with the set-user-id bit gives its owner's id, and with ``no_new_privs`` it does not."""
    box.start()
    prepare = f"cp {box._probe} /usr/bin/raised; chmod 4755 /usr/bin/raised; echo x > /srv/own; chmod 600 /srv/own"
    shell(box.name, prepare)
    script = ["exec", "-u", "7", box.name, "--", "/usr/bin/raised", "read", "/srv/own"]
    assert jail(*script).stdout == b"ok\n"
    box.start(no_new_privs=True)
    assert jail(*script).stdout == b"EACCES\n"
    assert observe.no_new_privileges(pid_of(box.name))


def test_masked_paths(box: Box) -> None:
    """A path that is added is covered; one of the baseline that is taken away can be read again."""
    shown = "/proc/interrupts"
    box.start()
    version = inside(box.name, "cat", "/proc/version")
    assert version.startswith("Linux version")
    assert inside(box.name, "cat", shown) == ""
    shell(box.name, "mkdir -p /srv/secret; echo secret > /srv/secret/file")
    box.start(masked_paths={"add": ["/proc/version", "/srv/secret/"], "remove": [shown]})
    assert inside(box.name, "cat", "/proc/version") == ""
    assert "CPU0" in inside(box.name, "cat", shown)
    assert inside(box.name, "ls", "-A", "/srv/secret") == ""
    assert jail("exec", box.name, "--", "touch", "/srv/secret/x").returncode != 0
    assert inside(box.name, "cat", "/proc/kallsyms") == ""


def test_read_only_paths(box: Box) -> None:
    """A path that is added can be read and not written; one of the baseline that is taken away can be written as far as
    the kernel lets the jail's root."""
    sysctl = "/proc/sys/kernel/shmmax"
    box.start()
    shell(box.name, "mkdir -p /srv/data; echo x > /srv/data/file")
    before = inside(box.name, "cat", sysctl).strip()
    assert b"Read-only" in jail("exec", box.name, "--", "sh", "-c", f"echo {before} > {sysctl}").stderr
    box.start(readonly_paths={"add": ["/srv/data"], "remove": ["/proc/sys"]})
    assert inside(box.name, "cat", "/srv/data/file") == "x\n"
    assert b"Read-only" in jail("exec", box.name, "--", "sh", "-c", "echo y > /srv/data/file").stderr
    shell(box.name, f"echo {before} > {sysctl}")
    swappiness = Path("/proc/sys/vm/swappiness")
    was = swappiness.read_text(encoding="ascii")
    assert jail("exec", box.name, "--", "sh", "-c", f"echo 1 > {swappiness}").returncode != 0
    assert swappiness.read_text(encoding="ascii") == was


def test_a_path_to_cover_must_be_there_and_no_link(box: Box) -> None:
    """What could come later uncovered, or be elsewhere, is refused by name, and the jail does not start."""
    box.start()
    shell(box.name, "mkdir -p /srv/there; ln -sfn /srv/there /srv/link")
    for path, why in (("/srv/missing", "No such file"), ("/srv/link", "symbolic link"), ("/srv/link/x", "link")):
        for option in ("masked_paths", "readonly_paths"):
            wish: dict[str, Any] = {"name": [box.name], option: {"add": [path]}}
            message = refused("jail_state", **wish, state="restarted")
            assert path in message
            assert why in message
            assert live.find(box.name) is None
            wish[option] = {}
            module("jail_state", **wish)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the probe enters the kernel by the 32-bit way of x86")
def test_personality(box: Box) -> None:
    """``linux32`` names the 32-bit machine and opens the 32-bit entry, through the filter: sockets by socketcall are
    refused until the families are opened. Without it, who comes that way is killed."""
    box.start()
    assert inside(box.name, "uname", "-m") == "x86_64\n"
    assert jail("exec", box.name, "--", box._probe, "getpid32").returncode == 128 + 31
    assert box.answers("getpid32", personality="linux32") == {"ok"}
    assert inside(box.name, "uname", "-m") == "i686\n"
    assert box.entered("socket32", "2", "1", "0") == "EAFNOSUPPORT"
    box.start(personality="linux32", allow_socket_af=True)
    assert box.entered("socket32", "2", "1", "0") == "ok"


def test_time_offset(box: Box) -> None:
    """The jail's boot lies as far back as was said, for the first process and for one that enters; the host's does
    not."""

    def host() -> float:
        return float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])

    day = 24 * 3600
    box.start(["read", "/proc/uptime"])
    assert abs(float(inside(box.name, "cut", "-d ", "-f1", "/proc/uptime")) - host()) < 60
    box.start(time_offset={"boottime": day, "monotonic": 5})
    assert abs(float(inside(box.name, "cut", "-d ", "-f1", "/proc/uptime")) - day - host()) < 60
    assert inside(box.name, "cat", "/proc/self/timens_offsets") == inside(box.name, "cat", "/proc/1/timens_offsets")
    first = os.readlink(f"/proc/{pid_of(box.name)}/ns/time")
    assert inside(box.name, "readlink", "/proc/self/ns/time").strip() == first != os.readlink("/proc/self/ns/time")


def test_a_fixed_range_of_ids(box: Box, names: Callable[[int], list[str]]) -> None:
    """The jail's root is the id that was said, and its files stay as they are; a second jail cannot have it too."""
    box.start()
    shell(box.name, "touch /srv/owned; chown 12:13 /srv/owned")
    box.start(userns="3000000")
    assert os.stat(f"/proc/{pid_of(box.name)}").st_uid == 3_000_000
    assert inside(box.name, "stat", "-c", "%u:%g", "/srv/owned") == "12:13\n"
    assert module("jail_info", name=[box.name], gather=[])["jails"][box.name]["first_id"] == 3_000_000
    assert jail("exec", "-u", "65536", box.name, "--", "true").returncode == 125
    (other,) = names(1)
    for first in ("3000000", "3065535", "2934465"):
        assert f"reach into those of {box.name}" in refused("jail_state", name=[other], userns=first)
    module("jail_state", name=[other], userns="3065536")


_NO_CHMOD = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {"names": ["fchmodat", "chmod", "fchmodat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 16},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_ADMIN"]}, "errnoRet": 17},
    ],
}


def test_a_profile_of_the_administrators(box: Box) -> None:
    """By path and by name, it takes the place of the default filter, with its conditions; who enters gets the one that
    the jail was started with, even when its file has changed or gone meanwhile, which is reported."""
    profile = Path(layout.SECCOMP) / "tidy.json"
    profile.write_text(json.dumps(_NO_CHMOD), encoding="utf-8")
    for name in ("tidy", str(profile)):
        box.start(seccomp=name)
        done = jail("exec", box.name, "--", "chmod", "700", "/root")
        assert b"busy" in done.stderr, done
        assert box.entered("mount", "/mnt", "tmpfs") == "EEXIST"
        assert box.entered("socket", "40", "1", "0") == "ok"
    wish: dict[str, Any] = {"name": [box.name], "seccomp": str(profile), "state": "started"}
    assert module("jail_state", **wish)["jails"][box.name]["restart_required"] == []
    profile.write_text(json.dumps({**_NO_CHMOD, "syscalls": []}), encoding="utf-8")
    result = module("jail_state", **wish)
    assert not result["changed"]
    assert result["jails"][box.name]["restart_required"] == ["seccomp"]
    assert b"busy" in jail("exec", box.name, "--", "chmod", "700", "/root").stderr
    profile.unlink()
    assert b"busy" in jail("exec", box.name, "--", "chmod", "700", "/root").stderr
    assert str(profile) in refused("jail_state", name=[box.name], seccomp=str(profile))
    assert str(profile) in refused("jail_state", name=[box.name], state="restarted")


def test_unconfined(box: Box) -> None:
    """No filter is loaded; the capabilities still refuse what they refuse, and every result says what is given up."""
    box.start()
    assert observe.seccomp(pid_of(box.name))[1] >= 1
    assert box.entered("clone3") == "ENOSYS"
    box.start(seccomp="unconfined")
    assert observe.seccomp(pid_of(box.name)) == observe.seccomp(os.getpid())
    assert box.entered("clone3") == "EINVAL"
    assert box.entered("mount", "/mnt", "tmpfs") == "EPERM"
    result = module("jail_state", name=[box.name], state="started")
    assert [sentence.partition(":")[0] for sentence in result["jails"][box.name]["degraded"]] == ["seccomp"]


def test_no_key_of_the_callers(box: Box, probe: str) -> None:
    """A key in the keyring of the session that enters a jail or starts it is not found inside, not even with no filter
    before the calls; a program of the host that is started the same way finds it."""
    script = """
import ctypes, subprocess, sys
call = ctypes.CDLL(None, use_errno=True).syscall
add_key, keyctl = {"x86_64": (248, 250), "aarch64": (217, 219)}[sys.argv[1]]
assert call(keyctl, 1, None) > 0  # a session of its own, gone with it
assert call(add_key, b"user", b"jails-test", b"secret", 6, -3) > 0, ctypes.get_errno()
for command in (sys.argv[2].split(), sys.argv[3].split()):
    print(subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.strip(), flush=True)
"""
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip(f"no system call numbers here for {platform.machine()}")
    for userns in ("auto", "host"):
        box.start(seccomp="unconfined", userns=userns)
        outside = f"{probe} key jails-test"
        inside_it = f"{layout.COMMAND} exec {box.name} -- {probe} key jails-test"
        words = [sys.executable, "-c", script, platform.machine(), outside, inside_it]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        assert done.stdout.split() == ["ok", "ENOKEY"]


def test_no_key_of_who_starts_it(box: Box, probe: str) -> None:
    """The same for the first process."""
    box.start(["key", "jails-test"], seccomp="unconfined")
    script = """
import ctypes, subprocess, sys
call = ctypes.CDLL(None, use_errno=True).syscall
add_key, keyctl = {"x86_64": (248, 250), "aarch64": (217, 219)}[sys.argv[1]]
assert call(keyctl, 1, None) > 0  # a session of its own, gone with it
assert call(add_key, b"user", b"jails-test", b"secret", 6, -3) > 0, ctypes.get_errno()
subprocess.run([sys.argv[2], "restart", sys.argv[3]], check=True)
"""
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip(f"no system call numbers here for {platform.machine()}")
    subprocess.run([sys.executable, "-c", script, platform.machine(), layout.COMMAND, box.name], check=True)
    assert set(jail("log", box.name).stdout.decode().split()) == {"ENOKEY"}


@pytest.mark.parametrize(
    "options",
    [
        {"allow_raw_sockets": True},
        {"allow_socket_af": True, "allow_sysvipc": True},
        {"securelevel": 2},
        {"capabilities": {"add": ["NET_RAW"], "drop": ["KILL"]}},
        {"seccomp": "unconfined"},
        {"no_new_privs": True},
        {"masked_paths": {"add": ["/proc/version"], "remove": []}},
        {"readonly_paths": {"add": ["/etc"], "remove": []}},
        {"personality": "linux32"},
        {"time_offset": {"boottime": 7, "monotonic": -7}},
        {"userns": "5000000"},
    ],
    ids="+".join,
)
def test_options_wait_for_a_restart_and_are_read_back(box: Box, options: dict[str, Any]) -> None:
    """Given to a running jail they are recorded and wait; made by a restart there is nothing left to do; and the way
    back is the same."""
    box.start()
    box.settles(**options)
    found = module("jail_info", name=[box.name], gather=["state"])["jails"][box.name]["state"]
    assert {name: found[name] for name in options} == options
    box.settles(**{name: _DEFAULTS[name] for name in options})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"capabilities": {"add": ["EVERYTHING"]}}, "capabilities: 'EVERYTHING' is not a capability"),
        ({"capabilities": {"add": ["ALL"]}}, "capabilities: 'ALL' is not a capability"),
        ({"securelevel": 4}, "securelevel: 4 is not between -1 and 3"),
        ({"seccomp": "../x"}, "seccomp: '../x' is not a profile"),
        ({"seccomp": "/nowhere/profile.json"}, "seccomp: /nowhere/profile.json: No such file"),
        ({"seccomp": "/dev/zero"}, "seccomp: /dev/zero: not a regular file"),
        ({"seccomp": "/etc/passwd"}, "seccomp: /etc/passwd: "),
        ({"masked_paths": {"add": ["proc/x"]}}, "masked_paths: 'proc/x' is not an absolute path"),
        ({"masked_paths": {"add": ["/srv/../.."]}}, "masked_paths: '/srv/../..' is not an absolute path"),
        ({"masked_paths": {"remove": ["/proc/cpuinfo"]}}, "masked_paths: /proc/cpuinfo is none of those"),
        ({"readonly_paths": {"add": ["/"]}}, "readonly_paths: '/' is not an absolute path"),
        ({"allow_set_hostname": True, "userns": "host"}, "allow_set_hostname: "),
        ({"time_offset": {"boottime": 1 << 40}}, "time_offset: boottime: 1099511627776 is out of range"),
        ({"userns": "own"}, "userns: 'own' is neither auto nor host nor the first of 65536 ids"),
        ({"userns": "1000"}, "userns: 1000 is not between 65536 and"),
        ({"userns": "4294901760"}, "userns: 4294901760 is not between 65536 and"),
        ({"userns": "268400000"}, "userns: 268400000: the ids from 268435456 to 1879048191 are given out by auto"),
    ],
)
def test_what_cannot_be_had_is_refused(box: Box, options: dict[str, Any], said: str) -> None:
    """In check mode too, before anything is recorded."""
    before = Path(f"{layout.desired(box.name)}/state.json").read_bytes()
    for check in (True, False):
        assert said in refused("jail_state", check=check, name=[box.name], **options)
    assert Path(f"{layout.desired(box.name)}/state.json").read_bytes() == before


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
