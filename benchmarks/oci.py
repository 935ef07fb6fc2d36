# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle of the OCI runtime specification that is as much as it can be like a jail of ours, for runc and crun."""

from __future__ import annotations

import errno
import json
import os
import platform
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import ids, limits, policy, syscall_policy
from ansible_collections.cellblock.jails.plugins.module_utils.jail.isolation import profiles
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import (
    idmap,
    mounts,
    namespaces,
    paths,
    process,
    seccomp,
)
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage

from . import host

_ACTIONS = {seccomp.ALLOW: "SCMP_ACT_ALLOW", seccomp.KILL_PROCESS: "SCMP_ACT_KILL_PROCESS"}
_OPERATORS = {
    "!=": "SCMP_CMP_NE", "<": "SCMP_CMP_LT", "<=": "SCMP_CMP_LE", "==": "SCMP_CMP_EQ", ">=": "SCMP_CMP_GE",
    ">": "SCMP_CMP_GT", "masked==": "SCMP_CMP_MASKED_EQ",
}  # fmt: skip


class Bundle:
    """One bundle on a template, for one runtime."""

    def __init__(self, runtime: str, key: str, folder: str) -> None:
        self._runtime = runtime
        self._key = key
        self._jail = host.PREFIX + runtime
        self._folder = os.path.join(folder, runtime)
        self._state = os.path.join(folder, f"{runtime}-state")

    def make(self, argv: Sequence[str], calls: Mapping[str, Any]) -> None:
        """Write it, with a section ``linux.seccomp``."""
        os.mkdir(self._folder)
        first = ids.first_id(ids.allocate(self._jail))
        self._mount_root(first)
        with open(os.path.join(self._folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(self._configuration(first, argv, calls), file)

    def run(self, *words: str) -> subprocess.Popen[bytes]:
        """Start it."""
        return self._call("run", *words, "--bundle", self._folder, self._jail)

    def delete(self) -> None:
        """End it."""
        self._call("delete", "--force", self._jail).communicate()

    def _call(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self._runtime, "--root", self._state, *words],
            stdin=subprocess.PIPE,  # runc gives its standard streams to the jail's root: not the host's /dev/null
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )

    def _mount_root(self, first: int) -> None:
        """The overlay that our start makes each time, with both layers idmapped by a user namespace of the same ids."""
        storage.create(self._jail, "overlay", self._key)
        root = os.path.join(self._folder, "rootfs")
        parts = {name: os.path.join(self._folder, name) for name in ("lower", "upper")}
        for path in (root, *parts.values()):
            os.mkdir(path)
        with paths.opened(_user_namespace(first)) as userns, storage.layers(self._jail) as layers:
            for name, mount in (("lower", layers.lower), ("upper", layers.upper)):
                assert mount is not None
                idmap.map_mount(mount, userns)
                with paths.opened(paths.open_directory(parts[name])) as place:
                    mounts.attach(mount, place)
        upper = parts["upper"]
        options = {"lowerdir": parts["lower"], "upperdir": f"{upper}/upper", "workdir": f"{upper}/work"}
        with paths.opened(paths.open_directory(root)) as place:
            mounts.attach(mounts.create("overlay", options), place)

    def _configuration(self, first: int, argv: Sequence[str], calls: Mapping[str, Any]) -> dict[str, Any]:
        names = [f"CAP_{name}" for name in policy.CAPABILITIES]
        mapping = [{"containerID": 0, "hostID": first, "size": ids.COUNT}]
        return {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": False,
                "user": {"uid": 0, "gid": 0},
                "args": list(argv),
                "env": [f"{name}={value}" for name, value in policy.ENVIRONMENT.items()],
                "cwd": "/",
                "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), names),
                "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}],
            },
            "root": {"path": "rootfs"},
            "hostname": "bench",
            "mounts": [
                _oci_mount("/proc", "proc", "nosuid", "noexec", "nodev"),
                _oci_mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", *_limits(policy.DEV_LIMITS)),
                _oci_mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "gid=5"),
                _oci_mount("/dev/shm", "tmpfs", "nosuid", "nodev", "mode=1777", *_limits(policy.SHM_LIMITS)),
                _oci_mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
                _oci_mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
                _oci_mount("/run", "tmpfs", "nosuid", "nodev", "mode=755", *_limits(policy.RUN_LIMITS)),
            ],
            "linux": {
                "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup", "user")],
                "uidMappings": mapping,
                "gidMappings": mapping,
                "cgroupsPath": f"/{layout.CGROUP_PARENT}/{self._jail}",
                "resources": {"pids": {"limit": limits.DEFAULT_PIDS}},
                "maskedPaths": [f"/proc/{path}" for path in policy.MASKED_PROC]
                + [f"/sys/{path}" for path in policy.MASKED_SYS],
                "readonlyPaths": [f"/proc/{path}" for path in policy.READONLY_PROC],
                "seccomp": dict(calls),
            },
        }


def our_list() -> dict[str, Any]:
    """A section of the calls that our default policy allows, without what it says of arguments: runc has one filter."""
    allowed = [rule.call for rule in syscall_policy.allowlist().rules if rule.action == seccomp.ALLOW]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.ENOSYS,
        "syscalls": [{"names": sorted(set(allowed)), "action": "SCMP_ACT_ALLOW"}],
    }


def of_engine(path: str) -> dict[str, Any]:
    """A section of what a container engine's profile comes to on this host, for a jail with our capabilities. The
    engine works that out: a runtime knows no conditions.

    :raises JailError: when there is no such profile, or it is none.
    """
    meant = profiles.load(path, policy.CAPABILITIES).filter
    entries = [
        {
            "names": [rule.call],
            **_action("action", "errnoRet", rule.action),
            "args": list(map(_argument, rule.arguments)),
        }
        for rule in meant.rules
    ]
    native = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}[platform.machine()]
    architectures = [native, *(f"SCMP_ARCH_{name.upper()}" for name in meant.architectures)]
    return {
        **_action("defaultAction", "defaultErrnoRet", meant.default),
        "architectures": architectures,
        "syscalls": entries,
    }


def _action(key: str, number_key: str, action: int) -> dict[str, Any]:
    if seccomp.answers(action):
        return {key: "SCMP_ACT_ERRNO", number_key: action - seccomp.answer(0)}
    return {key: _ACTIONS[action]}


def _argument(argument: seccomp.Argument) -> dict[str, Any]:
    return {
        "index": argument.position,
        "op": _OPERATORS[argument.comparison],
        "value": argument.first,
        "valueTwo": argument.second,
    }


def _oci_mount(destination: str, fstype: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": fstype, "source": fstype, "options": list(options)}


def _limits(limits: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in limits.items()]


def _user_namespace(first: int) -> int:
    """A descriptor of a user namespace with our range of ids, which outlives the process that made it."""
    reading, writing = os.pipe()

    def holder() -> None:
        namespaces.unshare(namespaces.CLONE_NEWUSER)
        os.write(writing, b".")
        signal.pause()

    pid = process.fork(holder)
    try:
        os.read(reading, 1)
        idmap.map_ids(pid, first, ids.COUNT)
        return namespaces.open_namespace(pid, "user")
    finally:
        os.kill(pid, signal.SIGKILL)
        process.wait(pid)
        os.close(reading)
        os.close(writing)
