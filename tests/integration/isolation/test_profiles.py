# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles of seccomp, and what a jail has of the keys of who starts it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import observe
from ansible_collections.cellblock.jails.tests.integration.support.calls import jail, module, pid_of, refused
from ansible_collections.cellblock.jails.tests.integration.support.isolated import Box

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
