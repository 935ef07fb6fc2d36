# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attacks that are a program run inside, each with what it says where it is stopped.

They are run in a jail, in a plain chroot as the control, and in other runtimes for comparison.
"""

from __future__ import annotations

import platform
from typing import NamedTuple

REFUSED = ("EPERM", "EACCES", "ENOSYS", "EROFS")
_ABSENT = ("ENOENT",)
_NO_FAMILY = ("EAFNOSUPPORT", "EPROTONOSUPPORT", "EPERM")


class Attack(NamedTuple):
    """One of them.

    :param words: the arguments of the program ``attack``, which says ``ok`` when it has gone through.
    :param stopped: what it says where it is stopped. ``SIGSYS`` stands for being killed by a filter.
    :param lacking: what the control says on a kernel that does not have the thing attacked.
    """

    row: int
    name: str
    words: tuple[str, ...]
    stopped: tuple[str, ...] = REFUSED
    lacking: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.row}-{self.name.replace(' ', '-')}"


def _write(row: int, path: str) -> Attack:
    """A parameter of the kernel, opened for writing. Not every kernel has every one, and a mask is the null device."""
    return Attack(row, f"write {path}", ("write", path), (*REFUSED, *_ABSENT), _ABSENT)


def _read(path: str, *lacking: str) -> Attack:
    return Attack(36, f"read {path}", ("read", path), (*REFUSED, *_ABSENT, "ENODATA"), (*_ABSENT, *lacking))


def _mount(row: int, kind: str, data: str = "") -> Attack:
    return Attack(row, f"mount {kind} {data}".strip(), ("mount", kind, "/tmp/mounted", data), lacking=("ENODEV",))


def _calls(row: int, *names: str, lacking: tuple[str, ...] = ()) -> list[Attack]:
    return [Attack(row, name, (name,), lacking=lacking) for name in names]


ATTACKS = (
    _mount(22, "cgroup2"),
    Attack(22, "mount cgroup", ("mount", "cgroup", "/tmp/mounted", "none,name=breakout"), lacking=("ENODEV", "EINVAL")),
    _write(24, "/proc/sys/kernel/core_pattern"),
    _write(24, "/proc/sys/kernel/modprobe"),
    _write(24, "/proc/sys/kernel/hotplug"),
    _write(24, "/proc/sys/kernel/poweroff_cmd"),
    _write(24, "/proc/sys/kernel/usermodehelper/inheritable"),
    _write(24, "/proc/sys/fs/suid_dumpable"),
    _write(24, "/proc/sys/vm/panic_on_oom"),
    _write(24, "/sys/kernel/uevent_helper"),
    _write(24, "/sys/kernel/profiling"),
    _write(25, "/proc/sysrq-trigger"),
    _mount(25, "binfmt_misc"),
    Attack(27, "node of memory", ("device", "c", "/dev/breakout", "1", "1")),
    Attack(27, "node of the kernel's log", ("device", "c", "/dev/breakout", "1", "11")),
    Attack(27, "node of tun", ("device", "c", "/tmp/breakout", "10", "200")),
    Attack(27, "node of a disk", ("device", "b", "/tmp/breakout", "7", "0")),
    *_calls(28, "init_module", "finit_module", "delete_module", "kexec", lacking=("ENOSYS",)),
    *_calls(28, "reboot", "adjtimex", "swapon", "acct", "quotactl"),
    *_calls(29, "bpf", "io_uring", "userfaultfd", "perf", "fanotify"),
    *_calls(30, "add_key", "keyctl", "request_key"),
    *_calls(31, "unshare", "clone", "clone3", "open_tree"),
    Attack(31, "setns", ("setns", "/proc/self/ns/net")),
    Attack(31, "fsopen", ("fsopen", "ext4"), lacking=("ENODEV",)),
    Attack(31, "mount tmpfs", ("mount", "tmpfs", "/tmp/mounted", "")),
    Attack(31, "bind mount", ("bind", "/tmp", "/tmp")),
    Attack(31, "nf_tables", ("netlink", "12"), _NO_FAMILY, ("EPROTONOSUPPORT",)),
    Attack(32, "every family", ("families",), ("EAFNOSUPPORT", "EPERM")),
    Attack(32, "old packet sockets", ("old_packet",), ("EAFNOSUPPORT", "EPERM")),
    Attack(32, "xfrm", ("netlink", "6"), _NO_FAMILY, ("EPROTONOSUPPORT",)),
    Attack(32, "raw IPv4", ("raw", "4", "1"), _NO_FAMILY),
    Attack(32, "raw IPv6", ("raw", "6", "58"), _NO_FAMILY, ("EAFNOSUPPORT",)),
    Attack(36, "syslog", ("syslog",)),
    _read("/dev/kmsg"),
    _read("/proc/kallsyms"),
    _read("/proc/timer_list"),
    _read("/proc/kcore"),
    _read("/proc/slabinfo"),
    _mount(37, "debugfs"),
    _mount(37, "tracefs"),
    _mount(37, "securityfs"),
    _mount(37, "bpf"),
    _mount(37, "proc"),
    _mount(37, "sysfs"),
    Attack(39, "immutable file", ("immutable", "/tmp"), lacking=("ENOTTY", "EOPNOTSUPP")),
    Attack(40, "host name", ("hostname",)),
    Attack(40, "priority", ("priority",)),
    Attack(40, "real-time scheduler", ("scheduler", "1")),
    Attack(40, "real-time disk", ("io_priority",)),
    Attack(40, "hard limit", ("resource_limit",), lacking=("EPERM",)),
)
"""Those of which it matters only whether they go through."""

OLD_ENTRY = Attack(32, "every family, 32-bit entry", ("families32",), ("SIGSYS", "EAFNOSUPPORT", "EPERM"), ("ENOSYS",))
"""The same program can call the kernel as 32-bit ones do. (A filter for 64 bits alone does not see it.)"""

ALL = (*ATTACKS, *([OLD_ENTRY] if platform.machine() == "x86_64" else []))
