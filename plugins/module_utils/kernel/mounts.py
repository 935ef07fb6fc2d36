# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts by file descriptor: open_tree(2), fsopen(2), fsconfig(2), fsmount(2), move_mount(2), mount_setattr(2),
pivot_root(2).

A mount made here hangs nowhere until :func:`attach` puts it on a descriptor, so no path is looked up between a
check and its use.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import NamedTuple

from .syscalls import AT_EMPTY_PATH, check, libc, syscall

RDONLY = 0x01
NOSUID = 0x02
NODEV = 0x04
NOEXEC = 0x08
IDMAP = 0x00100000

_OPEN_TREE_CLONE = 1
_CLOEXEC = os.O_CLOEXEC
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_MOVE_F_EMPTY_PATH = 0x04
_MOVE_T_EMPTY_PATH = 0x40
_SET_FLAG, _SET_STRING, _CMD_CREATE = 0, 1, 6
_MS_PRIVATE, _MS_REC = 1 << 18, 1 << 14
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_NAMES = {0x9123683E: "btrfs", 0xEF53: "ext4", 0x58465342: "xfs", 0x01021994: "tmpfs"}  # linux/magic.h


class _MountAttr(ctypes.Structure):
    """``struct mount_attr`` of ``linux/mount.h``."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class Mounted(NamedTuple):
    """One line of ``/proc/PID/mountinfo`` (proc_pid_mountinfo(5)); ``number`` is the mount's id."""

    number: str
    device: str
    root: str
    target: str
    flags: str
    fstype: str
    source: str
    options: str


def clone(directory: int, path: str = "") -> int:
    """A detached copy of the mount at ``path``, as a descriptor: a bind mount without a place.

    The copy is private: one of a shared mount, as all are on a host with systemd, would hand every mount on it back to
    the host (mount_namespaces(7)).
    """
    flags = _OPEN_TREE_CLONE | _CLOEXEC | AT_EMPTY_PATH
    copy = syscall("open_tree", directory, os.fsencode(path), flags, target=path or None)
    private = _MountAttr(propagation=_MS_PRIVATE)
    syscall("mount_setattr", copy, b"", AT_EMPTY_PATH, ctypes.byref(private), ctypes.sizeof(private))
    return copy


def create(fstype: str, options: Mapping[str, str | None], attributes: int = 0) -> int:
    """Make a file system and give its detached mount.

    :param options: as after mount(8)'s ``-o``; a value of ``None`` is a flag.
    :raises OSError: with the message that the file system left in its context, where it left one.
    """
    context = syscall("fsopen", fstype.encode(), _FSOPEN_CLOEXEC, target=fstype)
    try:
        for key, value in options.items():
            if value is None:
                syscall("fsconfig", context, _SET_FLAG, key.encode(), None, 0, target=f"{fstype} {key}")
            else:
                text = os.fsencode(value)
                syscall("fsconfig", context, _SET_STRING, key.encode(), text, 0, target=f"{fstype} {key}={value}")
        syscall("fsconfig", context, _CMD_CREATE, None, None, 0, target=fstype)
        return syscall("fsmount", context, _FSMOUNT_CLOEXEC, attributes, target=fstype)
    except OSError as error:
        said = _context_messages(context)
        if said:
            raise OSError(error.errno, f"{error.strerror} ({said})", error.filename) from error
        raise
    finally:
        os.close(context)


def _context_messages(context: int) -> str:
    """What the file system said about the failed step: lines ``e text`` read from the context, newest last."""
    lines = []
    while True:
        try:
            lines.append(os.read(context, 1024).decode(errors="replace").strip())
        except OSError:  # ENODATA: no message is left
            return "; ".join(line[2:] for line in lines)


def detach(directory: int, name: str) -> None:
    """Take off the topmost mount on ``name`` in ``directory``.

    :raises OSError: ``EBUSY`` while anybody uses it.
    """
    _umount(directory, name, _UMOUNT_NOFOLLOW)


def detach_lazily(directory: int, name: str) -> None:
    """The same at once; the mount goes with the last who uses it (umount(2), ``MNT_DETACH``)."""
    _umount(directory, name, _UMOUNT_NOFOLLOW | _MNT_DETACH)


def _umount(directory: int, name: str, flags: int) -> None:
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchdir(directory)
        check(libc.umount2(os.fsencode(name), flags), "umount2", name)
    finally:
        os.fchdir(before)
        os.close(before)


def attach(mount: int, directory: int, path: str = "") -> None:
    """Put a detached mount on ``path`` below ``directory``, or on ``directory`` itself."""
    flags = _MOVE_F_EMPTY_PATH | (0 if path else _MOVE_T_EMPTY_PATH)
    syscall("move_mount", mount, b"", directory, os.fsencode(path), flags, target=path or None)


def set_attributes(mount: int, attributes: int, userns: int | None = None) -> None:
    """Set mount attributes; with ``userns`` (a descriptor of a user namespace) map the mount's ids by it.

    Only a detached mount can be idmapped, and only once; ``EINVAL`` is the answer of a file system that cannot.
    """
    if userns is not None:
        attributes |= IDMAP
    attr = _MountAttr(attributes, 0, 0, userns or 0)
    syscall("mount_setattr", mount, b"", AT_EMPTY_PATH, ctypes.byref(attr), ctypes.sizeof(attr))


def make_private() -> None:
    """Cut the whole mount namespace off from propagation (mount_namespaces(7))."""
    check(libc.mount(None, b"/", None, ctypes.c_ulong(_MS_PRIVATE | _MS_REC), None), "mount(MS_PRIVATE)", "/")


def pivot_into(root: int) -> None:
    """Make the mount of ``root`` the root of this mount namespace and drop the old root with all below it."""
    os.fchdir(root)
    syscall("pivot_root", b".", b".")
    # The old root now lies on top of the new one at "/": "." still names it (pivot_root(2), NOTES).
    check(libc.umount2(b".", _MNT_DETACH), "umount2(MNT_DETACH)", "old root")
    os.chdir("/")


def mount_table(pid: str = "self") -> list[Mounted]:
    """The mounts that a process sees.

    Whoever owns a directory gives it its name, in which the kernel escapes the newline but no carriage return: that
    ends no line.
    """
    table = []
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        for line in lines:
            before, after = line.rstrip("\n").split(" - ", 1)
            fields = before.split(" ")
            fstype, source, options = after.split(" ", 2)
            root, target = _unescape(fields[3]), _unescape(fields[4])
            table.append(Mounted(fields[0], fields[2], root, target, fields[5], fstype, source, options))
    return table


def any_below(directory: int) -> bool:
    """Whether anything is mounted below a directory, as we see it."""
    path = os.readlink(f"/proc/self/fd/{directory}")
    return any(mount.target.startswith(f"{path}/") for mount in mount_table())


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def magic_of(place: str | int) -> int:
    """The number by which the file system of a path or descriptor calls itself (statfs(2), ``f_type``)."""
    found = (ctypes.c_long * 32)()  # struct statfs has 120 bytes, and its first field is this one
    if isinstance(place, int):
        check(libc.fstatfs(ctypes.c_int(place), found), "fstatfs")
    else:
        check(libc.statfs(os.fsencode(place), found), "statfs", place)
    return int(found[0])


def filesystem_of(place: str | int) -> str:
    """The type of the file system that holds a path or descriptor, as mount(8) calls it; ``unknown`` when neither a
    mount shows its device nor its number is one that we know."""
    device = os.stat(place).st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    known = _NAMES.get(magic_of(place), "unknown")  # of btrfs no mount shows the device: each subvolume has its own
    return next((mount.fstype for mount in mount_table() if mount.device == name), known)
