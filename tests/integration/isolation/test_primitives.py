# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capabilities, paths, ids, clocks: the options beneath the switches, and which of them wait for a restart."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live, policy
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import capabilities, observe
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    inside,
    jail,
    module,
    pid_of,
    refused,
    shell,
)
from ansible_collections.cellblock.jails.tests.integration.support.isolated import DEFAULTS, Box


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
    box.settles(**{name: DEFAULTS[name] for name in options})


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
