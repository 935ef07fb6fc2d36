# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels of the host's security module: given to the first process and to all that enter, and felt; and what is said
where the host has none."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import apparmor, attributes, selinux
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    inside,
    jail,
    module,
    pid_of,
    refused,
    shell,
)

_OTHER = "cellblock-test"
needs_apparmor = pytest.mark.skipif(not apparmor.is_enabled(), reason="this host's kernel has AppArmor not on")
without_apparmor = pytest.mark.skipif(apparmor.is_enabled(), reason="this host has AppArmor")


def label_of(name: str) -> str:
    """The profile of a jail's first process; one that enters has the same."""
    first = apparmor.label(pid_of(name))
    entered = inside(name, "cat", "/proc/self/attr/apparmor/current").strip("\0\n")
    assert entered == first
    return first


@needs_apparmor
def test_a_generated_profile_comes_and_goes_with_the_jail(box: str) -> None:
    """Its processes have it, enforced; it is another one for each jail, and gone from the kernel when the jail is."""
    name = f"cellblock-jail.{box}"
    assert label_of(box) == f"{name} (enforce)"
    assert apparmor.is_loaded(name)
    assert module("jail_state", name=[box], state="started")["jails"][box]["degraded"] == []
    assert jail("audit", box).returncode == 0
    module("jail_state", name=[box], state="stopped")
    assert not apparmor.is_loaded(name)


@needs_apparmor
def test_it_refuses_what_nothing_else_does(box: str) -> None:
    """With covers and read-only mounts given up, in the host's user namespace, where the jail's root owns the host's
    parameters: the profile alone keeps them from being written. (Unconfined, they can be.) What the network namespace
    owns stays writable as far as capabilities let it."""
    parameter = "/proc/sys/kernel/printk_ratelimit_burst"
    before = Path(parameter).read_text(encoding="ascii").strip()
    options: dict[str, Any] = {"userns": "host", "capabilities": {"add": ["NET_ADMIN"]}}
    module("jail_state", name=[box], **options, state="restarted")
    # Nothing in the jail's mounts keeps a process of its label from the host's own /proc.
    subprocess.run(
        ["nsenter", "-m", "-t", str(pid_of(box)), "sh", "-c", "umount /proc/sys/net; umount /proc/sys"], check=True
    )
    done = jail("exec", box, "--", "sh", "-c", f"echo {before} > {parameter}")
    assert b"ermission denied" in done.stderr
    shell(box, "cat /proc/sys/net/ipv4/ip_forward > /tmp/x || true; echo 0 > /proc/sys/net/ipv4/ip_forward")
    module("jail_state", name=[box], apparmor_profile="unconfined", state="restarted")
    subprocess.run(
        ["nsenter", "-m", "-t", str(pid_of(box)), "sh", "-c", "umount /proc/sys/net; umount /proc/sys"], check=True
    )
    shell(box, f"echo {before} > {parameter}")


@needs_apparmor
def test_unconfined_says_so(box: str) -> None:
    """No label, a sentence in every result; and back again."""
    result = module("jail_state", name=[box], apparmor_profile="unconfined")
    assert result["jails"][box]["restart_required"] == ["apparmor_profile"]
    result = module("jail_state", name=[box], state="restarted")
    assert label_of(box) == "unconfined"
    assert [sentence.partition(":")[0] for sentence in result["jails"][box]["degraded"]] == ["apparmor_profile"]
    module("jail_state", name=[box], apparmor_profile="generated", state="restarted")
    assert label_of(box) == f"cellblock-jail.{box} (enforce)"


@needs_apparmor
def test_a_named_profile(box: str) -> None:
    """One that the kernel has is given and felt; one that it has not is refused."""
    assert f"no profile {_OTHER}" in refused("jail_state", name=[box], apparmor_profile=_OTHER)
    text = (
        f"profile {_OTHER} flags=(attach_disconnected) {{ file, capability, network, signal, ptrace, deny /mnt/** w, }}"
    )
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache"], input=text.encode(), check=True)
    try:
        shell(box, "touch /mnt/before")
        module("jail_state", name=[box], apparmor_profile=_OTHER, state="restarted")
        assert label_of(box) == f"{_OTHER} (enforce)"
        assert jail("exec", box, "--", "touch", "/mnt/after").returncode != 0
        module("jail_state", name=[box], state="stopped")
        assert apparmor.is_loaded(_OTHER)
    finally:
        apparmor.remove(_OTHER)


@needs_apparmor
def test_mount_tables_are_hidden(box: str) -> None:
    """``enforce_statfs`` 2 takes them from every process of the jail; 1 shows the jail's own."""
    tables = (
        "/proc/mounts",
        "/proc/self/mountinfo",
        "/proc/1/mountinfo",
        "/proc/1/mountstats",
        "/proc/1/task/1/mounts",
    )
    for table in tables:
        assert inside(box, "cat", table)
    module("jail_state", name=[box], enforce_statfs=2, state="restarted")
    for table in tables:
        assert b"ermission denied" in jail("exec", box, "--", "cat", table).stderr, table
    assert inside(box, "cat", "/proc/self/status")
    assert module("jail_state", name=[box], enforce_statfs=2)["jails"][box]["restart_required"] == []


@needs_apparmor
def test_a_profile_that_was_taken_away_is_drift(box: str) -> None:
    """Whoever removes it from the kernel leaves the jail unconfined, which attestation finds."""
    apparmor.remove(f"cellblock-jail.{box}")
    found = module("jail_info", name=[box], gather=["isolation"])["jails"][box]["isolation"]
    assert found["drift"] == ["label"]
    assert module("jail_state", name=[box], apparmor_profile="generated")["jails"][box]["restart_required"] == [
        "apparmor_profile"
    ]


@without_apparmor
def test_without_apparmor(box: str) -> None:
    """The generated profile means nothing, and is no drift; what only it could give is refused, with the reason."""
    assert module("jail_state", name=[box], apparmor_profile="generated")["changed"] is False
    result = module("jail_state", name=[box], apparmor_profile="unconfined", state="restarted")
    assert result["jails"][box]["degraded"] == []
    assert jail("audit", box).returncode == 0
    module("jail_state", name=[box], apparmor_profile="generated")
    assert "apparmor_profile: the host's kernel has AppArmor not on" in refused(
        "jail_state", name=[box], apparmor_profile="lxc-container-default"
    )
    assert "enforce_statfs: what is mounted can only be hidden by a generated AppArmor profile" in refused(
        "jail_state", name=[box], enforce_statfs=2
    )
    assert module("jail_state", name=[box], enforce_statfs=0)["changed"]


@pytest.mark.skipif(selinux.is_enabled(), reason="this host has SELinux")
def test_without_selinux(box: str) -> None:
    """A context is refused with the reason, and one that is none with another."""
    context = "system_u:system_r:container_t:s0:c1,c2"
    assert "selinux_context: the host's kernel has SELinux not on" in refused(
        "jail_state", name=[box], selinux_context=context
    )
    assert "selinux_context: 'container' is not a context" in refused(
        "jail_state", name=[box], selinux_context="container"
    )


@pytest.mark.skipif(not selinux.is_enabled(), reason="this host's kernel has SELinux not on")
def test_a_context(box: str) -> None:
    """The host's own, which any policy has, is given to the first process and to one that enters."""
    own = selinux.context(pid_of(box))
    module("jail_state", name=[box], selinux_context=own, state="restarted")
    assert selinux.context(pid_of(box)) == own
    assert inside(box, "cat", "/proc/self/attr/current").strip("\0\n") == own


def test_no_label_is_written_elsewhere(box: str) -> None:
    """With something else mounted over /proc, or over our own part of it, the write is refused instead of going there
    (CVE-2019-16884). Without, it reaches the kernel, which knows this file or does not."""
    script = """
import os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import attributes, mounts, namespaces
namespaces.unshare(namespaces.CLONE_NEWNS)
mounts.make_private()
def attempt():
    try:
        attributes.write_own("oom_score_adj", "0")
        print("written")
    except OSError as error:
        print(os.strerror(error.errno))
attempt()
subprocess.run(["mount", "--bind", "/dev/null", f"/proc/{os.getpid()}/oom_score_adj"], check=True)
attempt()
subprocess.run(["mount", "-t", "tmpfs", "none", "/proc"], check=True)
os.makedirs("/proc/self")
open("/proc/self/oom_score_adj", "w").close()
attempt()
print(os.path.getsize("/proc/self/oom_score_adj"))
"""
    done = subprocess.run(
        ["/usr/bin/python3", "-c", script, str(Path(attributes.__file__).parents[6])],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["written", "Invalid cross-device link", "No such device", "0"]
