# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to a tree that is not ours to trust: programs of it have run, or its archive came from elsewhere.

Every path is resolved inside the tree by the kernel (``kernel/paths``): a link that points out of it does not.
``root`` is always a descriptor of the tree's root directory, and a path is relative to it.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import stat
from collections.abc import Iterator

from ..kernel import paths

# Identity is a jail's own; what a template carried would be shared by all its clones.
# By these somebody else could pass for the system, or foretell its random numbers.
_SECRETS = (
    "etc/hostid",
    "etc/iscsi/initiatorname.iscsi",
    "etc/nvme/hostid",
    "etc/nvme/hostnqn",
    "var/lib/NetworkManager/secret_key",
    "var/lib/dbus/machine-id",
    "var/lib/dhcpcd/duid",
    "var/lib/dhcpcd/secret",
    "var/lib/misc/random-seed",
    "var/lib/seedrng",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
    "var/lib/urandom/random-seed",
)
_KEYS = {"etc/ssh": "ssh_host_", "etc/dropbear": "dropbear_"}
# These the place of a build has left, or the system that an archive was made of.
_TRACES = (
    "etc/fstab",
    "etc/hostname",
    "etc/hosts",
    "etc/machine-info",
    "etc/resolv.conf",
    "etc/udev/rules.d/70-persistent-net.rules",
    "root/.bash_history",
    "root/.ssh",
    "var/lib/cloud",
)
_LEASES = ("var/lib/NetworkManager", "var/lib/dhclient", "var/lib/dhcp", "var/lib/dhcpcd")
_JOURNAL = "var/log/journal"
_LOGS = ("var/log", 2)  # and how many levels of directories
_APT = ("etc/apt", "etc/apt/apt.conf.d")
_APT_PROXY = re.compile(rb"^[ \t]*acquire::(http|https|ftp)::proxy\b[^;\n]*;?[ \t]*\n?", re.IGNORECASE | re.MULTILINE)
_ENTRIES_LIMIT = 1000
_CHUNK = 1 << 30
# The launcher mounts on these, and refuses a symbolic link there.
_MOUNT_POINTS = {"proc": 0o555, "sys": 0o555, "dev": 0o755, "run": 0o755}


def make_directory(root: int, path: str, mode: int = 0o755) -> None:
    """Make a directory with exactly this mode; one that is there stays as it is.

    :raises OSError: ``ELOOP`` for a symbolic link on the way.
    """
    folder, name = os.path.split(path)
    parent = paths.open_plain(root, folder or "/", os.O_PATH | os.O_DIRECTORY)
    with paths.opened(parent), contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
        paths.set_mode(parent, name, mode)


def copy_in(root: int, source: int, path: str) -> None:
    """Copy a file, of which ``source`` is a descriptor, to ``path``, where there must be none.

    :raises OSError: ``EINVAL`` when it is no regular file, ``EEXIST`` when there is something at ``path``, ``ELOOP``
        for a symbolic link on the way there.
    """
    if not stat.S_ISREG(os.fstat(source).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    folder, name = os.path.split(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with paths.opened(paths.open_plain(root, folder or "/", os.O_PATH | os.O_DIRECTORY)) as parent:
        target = os.open(name, flags, 0o644, dir_fd=parent)
    with paths.opened(target):
        done = 0
        while sent := os.sendfile(target, source, done, _CHUNK):
            done += sent


def remove(root: int, path: str) -> None:
    """Remove what is at ``path``, if anything: a file, a link (not its target), or a directory and all below it."""
    folder, name = os.path.split(path)
    with _directory(root, folder or "/") as parent:
        if parent is not None:
            paths.remove_tree(parent, name)


def empty(root: int, path: str, beginning: str = "") -> None:
    """Remove the entries of the directory ``path`` whose names start with ``beginning``; no directory is fine."""
    with _directory(root, path) as directory:
        if directory is not None:
            for name in os.listdir(directory):
                if name.startswith(beginning):
                    paths.remove_tree(directory, name)


def entries(root: int, path: str) -> list[str]:
    """The names in a directory, sorted, and not more than anybody needs; none when there is no directory."""
    with _directory(root, path) as directory:
        if directory is None:
            return []
        with os.scandir(directory) as found:
            return sorted(entry.name for entry in itertools.islice(found, _ENTRIES_LIMIT))


def make_mount_points(root: int) -> None:
    """Make ``/proc``, ``/sys``, ``/dev`` and ``/run`` empty directories, whatever stands there."""
    for name, mode in _MOUNT_POINTS.items():
        paths.remove_tree(root, name)
        make_directory(root, name, mode)


def forget_identity(root: int) -> None:
    """Take out of a tree what is of one system only. Logs stay, empty, with the owners that their programs need."""
    forget_secrets(root)
    for path in _TRACES:
        remove(root, path)
    for path in (*_LEASES, _JOURNAL):
        empty(root, path)
    _truncate_files(root, *_LOGS)
    for folder in _APT:
        for name in entries(root, folder):
            _forget_proxy(root, f"{folder}/{name}")


def forget_secrets(root: int) -> None:
    """Take out only what no two systems may have alike; leave ``/etc/machine-id`` empty.

    Empty means that there is no id yet. Were it missing, systemd would also apply its presets anew (machine-id(5),
    "First Boot Semantics").
    """
    for path in _SECRETS:
        remove(root, path)
    for path, beginning in _KEYS.items():
        empty(root, path, beginning)
    paths.write_file(root, "etc/machine-id", b"", 0o444)


def _truncate_files(root: int, path: str, levels: int) -> None:
    with _directory(root, path) as directory:
        if directory is None:
            return
        with os.scandir(directory) as found:
            listed = list(itertools.islice(found, _ENTRIES_LIMIT))
        for entry in listed:
            if entry.is_file(follow_symlinks=False):
                flags = os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(entry.name, flags, dir_fd=directory))
            elif levels > 1 and entry.is_dir(follow_symlinks=False):
                _truncate_files(root, f"{path}/{entry.name}", levels - 1)


def _forget_proxy(root: int, path: str) -> None:
    """Take the proxies out of a file of apt.conf(5)."""
    try:
        text = paths.read_file(root, path)
    except OSError:
        return  # no file
    without = _APT_PROXY.sub(b"", text)
    if without != text:
        paths.write_file(root, path, without)


@contextlib.contextmanager
def _directory(root: int, path: str) -> Iterator[int | None]:
    """A descriptor of a directory for a ``with`` block; ``None`` when ``path`` leads to none inside the tree."""
    try:
        descriptor = paths.open_in(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        yield None
        return
    with paths.opened(descriptor):
        yield descriptor
