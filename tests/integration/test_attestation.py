# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attestation: a jail that is as it was settled has no drift, and whatever the host's root loosens in a running one is
found, by its name."""

from __future__ import annotations

import ctypes
import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live, policy
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import capabilities, mounts, namespaces, process
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.syscalls import check, libc
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, jail, module, pid_of, shell

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND = 2, 4, 8, 32, 4096  # linux/mount.h


def attested(name: str) -> dict[str, Any]:
    """The isolation of a jail, by the module."""
    found = module("jail_info", name=[name], gather=["isolation"])["jails"][name]["isolation"]
    assert isinstance(found, dict)
    return found


def entered(name: str, *command: str) -> None:
    """Run a command of the host's as the host's root in a jail's mount namespace."""
    subprocess.run(["nsenter", "-m", "-t", str(pid_of(name)), *command], check=True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"userns": "host"},
        {"seccomp": "unconfined", "allow_raw_sockets": True, "no_new_privs": True, "personality": "linux32"},
        {"capabilities": {"drop": ["ALL"], "add": ["KILL"]}, "time_offset": {"boottime": 9}, "userns": "3000000"},
        {"masked_paths": {"add": ["/etc/passwd"], "remove": ["/proc/interrupts"]}, "securelevel": 3},
        {"readonly_paths": {"add": ["/usr"], "remove": ["/proc/bus"]}, "devices": [{"path": "/dev/kmsg"}]},
        {"mounts": [{"type": "tmpfs", "target": "/var/x"}, {"source": "/usr/bin", "target": "/opt/bin"}]},
        {"command": ["setpriv", "--nnp", "sleep", "100000"]},
    ],
    ids=lambda options: "+".join(options) or "default",
)
def test_a_jail_is_as_it_was_settled(box: str, options: dict[str, Any]) -> None:
    """With any options, and with an init that holds itself tighter than we do."""
    module("jail_state", name=[box], **options, state="restarted")
    found = attested(box)
    assert {name: found["facts"][name] for name in found["drift"]} == {}
    done = jail("audit", box)
    assert done.returncode == 0
    assert b"DRIFT" not in done.stdout
    assert json.loads(jail("audit", "--json", box).stdout)["drift"] == []


def test_what_is_told_is_what_the_kernel_says(box: str) -> None:
    """Every kind of fact is there, with the value that the kernel has for the first process and with the one that the
    start settled."""
    facts = attested(box)["facts"]
    pid = pid_of(box)
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines())
    for name, key in (("bounding", "CapBnd"), ("effective", "CapEff"), ("ambient", "CapAmb")):
        assert facts[f"capabilities.{name}"]["live"] == capabilities.to_names(int(status[key], 16))
    assert set(facts["capabilities.bounding"]["expected"]) == set(policy.CAPABILITIES)
    assert facts["seccomp"]["live"] == {"mode": int(status["Seccomp"]), "filters": int(status["Seccomp_filters"])}
    assert facts["ids.uid_map"]["live"] == [
        list(map(int, Path(f"/proc/{pid}/uid_map").read_text(encoding="ascii").split()))
    ]
    table = {f"mounts.{mount.target}" for mount in mounts.mount_table(str(pid))}
    assert table <= set(facts)
    assert {f"namespaces.{kind}" for kind in namespaces.KINDS} <= set(facts)
    assert {"no_new_privs", "personality", "masked_paths", "readonly_paths", "device_nodes", "devices"} <= set(facts)
    assert {"ceiling.memory_max", "ceiling.pids_max", "disk.size", "disk.inodes"} <= set(facts)
    assert {"limits.pids_max", "rlimits.core", "descriptors", "processes", "namespaces_max"} <= set(facts)
    assert any(name.startswith("cgroup.") for name in facts)


def _uncover(name: str) -> None:
    entered(name, "umount", "/proc/kallsyms")


def _remount(name: str, path: str, flags: int) -> None:
    """Give a mount of a jail other flags, as the host's root in its mount namespace."""
    target = os.pidfd_open(pid_of(name))

    def child() -> None:
        namespaces.setns(target, namespaces.CLONE_NEWNS)
        check(libc.mount(None, path.encode(), None, ctypes.c_ulong(_MS_REMOUNT | _MS_BIND | flags), None), "mount")

    assert process.wait(process.fork(child)) == 0
    os.close(target)


def _make_writable(name: str) -> None:
    _remount(name, "/proc/sys", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)


def _mount_more(name: str) -> None:
    entered(name, "mount", "-t", "tmpfs", "none", "/opt")


def _drop_nodev(name: str) -> None:
    _remount(name, "/", 0)


def _plant_a_node(name: str) -> None:
    os.mknod(f"/proc/{pid_of(name)}/root/dev/mem", 0o20600, os.makedev(1, 1))


def _raise_the_limit(name: str) -> None:
    live.group_of(name).set("pids_max", None)


def _open_all_devices(name: str) -> None:
    group = live.group_of(name)
    roots = live.hierarchies().roots
    if live.hierarchies().version != 1 or "devices" not in roots:
        pytest.skip("this host has no control group of version 1 for devices")
    Path(roots["devices"], layout.CGROUP_PARENT, group.name, "devices.allow").write_text("a", encoding="ascii")


@pytest.mark.parametrize(
    ("loosen", "drift"),
    [
        (_uncover, ["masked_paths"]),
        (_make_writable, ["mounts./proc/sys", "readonly_paths"]),
        (_mount_more, ["mounts./opt"]),
        (_drop_nodev, ["mounts./"]),
        (_plant_a_node, ["device_nodes"]),
        (_raise_the_limit, ["limits.pids_max"]),
        (_open_all_devices, ["devices"]),
    ],
)
def test_what_was_loosened_is_found(box: str, loosen: Callable[[str], None], drift: list[str]) -> None:
    """By its name, in the module's result and by the command, which ends with 1 and says what was settled."""
    assert attested(box)["drift"] == []
    loosen(box)
    assert attested(box)["drift"] == drift
    done = jail("audit", box)
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    assert [words[1] for words in lines if words[0] == "DRIFT"] == drift
    assert b"settled: " in done.stdout


def test_an_option_that_drifted_waits_for_a_restart(box: str) -> None:
    """What the kernel has is what counts, not what was recorded; a restart puts it right."""
    wish: dict[str, Any] = {"name": [box], "masked_paths": {}}
    module("jail_state", **wish)
    _uncover(box)
    result = module("jail_state", **wish)
    assert not result["changed"]
    assert result["jails"][box]["restart_required"] == ["masked_paths"]
    module("jail_state", **wish, state="restarted")
    assert module("jail_state", **wish)["jails"][box]["restart_required"] == []
    assert attested(box)["drift"] == []


def test_a_process_of_the_hosts_in_its_group_is_found(box: str) -> None:
    """One that is counted as the jail's and held by nothing; one that enters properly is none."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        try:
            live.group_of(box).join(stranger.pid)
            assert attested(box)["drift"] == ["processes"]
            assert attested(box)["facts"]["processes"]["live"] == [f"{stranger.pid} sleep"]
        finally:
            stranger.kill()
    with subprocess.Popen([layout.COMMAND, "exec", box, "--", "sleep", "1"]):
        assert attested(box)["drift"] == []


def test_a_descriptor_that_leads_out_is_found(box: str) -> None:
    """One of a mount that the jail does not have (any more)."""
    volume = {"source": "/usr/bin", "target": "/opt/bin"}
    command = ["sh", "-c", "exec 7</opt/bin/env; exec sleep 100000"]
    module("jail_state", name=[box], mounts=[volume], command=command, state="restarted")
    assert attested(box)["facts"]["descriptors"] == {"live": [], "expected": [], "holds": True}
    entered(box, "umount", "-l", "/opt/bin")
    found = attested(box)
    assert "descriptors" in found["drift"]
    (held,) = found["facts"]["descriptors"]["live"]
    assert held.startswith("7: ")


def test_more_than_was_settled_is_drift(box: str) -> None:
    """The comparison itself: where less had been settled than the jail has, each of these is found. (The kernel gives a
    process no way to get more, so the other side is changed.)"""
    path = Path(layout.running(box)) / "live.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    settled = value["isolation"]
    settled["capabilities"].remove("CHOWN")
    settled["programs"].append(settled["programs"][0])
    settled["no_new_privs"] = True
    settled["personality"] = "linux32"
    value["first_id"] += 1
    path.write_text(json.dumps(value), encoding="utf-8")
    drift = set(attested(box)["drift"])
    assert drift >= {"capabilities.bounding", "capabilities.effective", "seccomp", "no_new_privs", "personality"}
    assert drift >= {"ids.uid_map", "ids.gid_map", "processes"}


def test_green_and_red_on_a_terminal(box: str) -> None:
    """Colours are for terminals, and for those who did not say NO_COLOR."""
    _mount_more(box)
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        try:
            with subprocess.Popen([layout.COMMAND, "audit", box], stdout=theirs, env={**os.environ, **environment}):
                os.close(theirs)
                shown = b""
                while True:
                    try:
                        shown += os.read(ours, 65536)
                    except OSError:  # the other end is closed
                        break
        finally:
            os.close(ours)
        assert (b"\x1b[32mok" in shown, b"\x1b[31mDRIFT" in shown) == (coloured, coloured)


def test_names_that_the_jail_chose_do_nothing_to_a_terminal(box: str) -> None:
    """What is shown of mounts and processes is plain text."""
    inside(box, "mkdir", "/opt/\x1b[2Jx")
    entered(box, "mount", "-t", "tmpfs", "none", "/opt/\x1b[2Jx")
    done = jail("audit", box)
    assert b"\x1b" not in done.stdout
    assert b"mounts./opt/?[2Jx" in done.stdout


def test_a_jail_cannot_keep_attestation_from_its_end(box: str) -> None:
    """However deep it makes its /dev, the answer comes, and says where it did not look further."""
    shell(box, "cd /dev; i=0; while [ $i -lt 1500 ]; do mkdir d 2>/dev/null && cd d || break; i=$((i+1)); done; true")
    found = attested(box)
    assert found["drift"] == ["device_nodes"]
    assert any(node.startswith("? /dev/d/d") for node in found["facts"]["device_nodes"]["live"])


def test_of_a_jail_that_does_not_run_there_is_nothing(box: str) -> None:
    """The module says so by a null, the command by its status."""
    module("jail_state", name=[box], state="stopped")
    assert module("jail_info", name=[box], gather=["isolation"])["jails"][box]["isolation"] is None
    assert jail("audit", box).returncode == 125
    assert jail("audit", "nobody").returncode == 125
