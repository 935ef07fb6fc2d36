# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A place for the whole test run: directories and a network of its own, so that the host's jails stay as they are.

The process goes into a mount namespace in which empty directories lie over those of the collection, and into a network
namespace. Control groups cannot be had apart: the tests' jails have names that begin with :data:`PREFIX`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build, live, store
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts, namespaces

from . import filesystems
from .networks import bring_up_loopback

PREFIX = f"t-{os.getpid()}-"
"""How the name of every jail of this test run begins; another may be under way beside it."""

PLACES = (
    *(layout.ETC, layout.SECCOMP, layout.LIB, layout.RUN, layout.LOG, layout.RUNTIME),
    os.path.dirname(layout.COMMAND),
)
"""The directories that the tests have to themselves."""

_KINDS = ("mnt", "net")
_LOOP_SECONDS = 5


@contextlib.contextmanager
def entered() -> Iterator[None]:
    """Be there for a ``with`` block.

    :raises OSError: where the kernel does not let us; nothing has changed then.
    """
    directory = os.getcwd()
    homes = [namespaces.open_namespace(os.getpid(), kind) for kind in _KINDS]
    with contextlib.ExitStack() as stack:
        for home in homes:
            stack.callback(os.close, home)
        # Not below /tmp: that is often a tmpfs, and jails are made for file systems on disk.
        state = tempfile.mkdtemp(prefix="jails-test-", dir="/var/tmp")
        stack.callback(shutil.rmtree, state)
        for place in PLACES:
            stack.enter_context(_directory(place))
        namespaces.unshare(sum(namespaces.KINDS[kind] for kind in _KINDS))
        stack.callback(os.chdir, directory)
        for home, kind in zip(homes, _KINDS):
            stack.callback(namespaces.setns, home, namespaces.KINDS[kind])
        mounts.make_private()
        for number, place in enumerate(PLACES):
            own = os.path.join(state, str(number))
            os.mkdir(own, 0o755)
            subprocess.run(["mount", "--bind", own, place], check=True)
        # As systemd leaves it on a host: what is mounted on a copy of a shared mount is mounted on the host too.
        subprocess.run(["mount", "--make-rshared", "/"], check=True)
        bring_up_loopback()
        with _no_group_of_ours_after():
            yield


@contextlib.contextmanager
def _directory(path: str) -> Iterator[None]:
    """Have the directory ``path``; one that was not there is removed at the end, unless another test run is in it: with
    a directory go all mounts on it, in whatever mount namespace (rmdir(2) has been so since Linux 3.18)."""
    made: list[str] = []
    while (descriptor := _entered(path, made)) is None:
        continue
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # another run is in it, or somebody else has put something there
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for each in reversed(dict.fromkeys(made)):
                os.rmdir(each)
        os.close(descriptor)


def _entered(path: str, made: list[str]) -> int | None:
    """A descriptor of the directory with a shared lock (flock(2)); ``None`` when another run has just removed it."""
    _make(path, made)
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)
    return None


def _make(path: str, made: list[str]) -> None:
    """Try to make a directory and its parents; ``made`` gets those that were not there, parents first."""
    if not os.path.isdir(path):
        _make(os.path.dirname(path), made)
        with contextlib.suppress(FileExistsError, FileNotFoundError):  # another run makes or removes them
            os.mkdir(path)
            made.append(path)


@contextlib.contextmanager
def _no_group_of_ours_after() -> Iterator[None]:
    try:
        yield
    finally:
        # Also what a run that was killed has left: an empty one is nobody's, and made anew by the next start.
        for parent in live.hierarchies().parents(layout.CGROUP_PARENT):
            with contextlib.suppress(OSError):  # not made, or in use by others
                os.rmdir(parent)


def jails() -> list[str]:
    """The jails of these tests that have any desired state."""
    return [name for name in store.names() if name.startswith(PREFIX)]


def groups() -> list[str]:
    """The control groups, in whatever hierarchy, of jails of these tests."""
    return [name for name in live.hierarchies().names(layout.CGROUP_PARENT) if name.startswith(PREFIX)]


def clear_killed_builds() -> None:
    """Clear what builds have left whose process the tests have killed: the next build would, but none follows."""
    build.sweep()


def processes() -> list[int]:
    """The processes in those control groups."""
    return sorted(pid for name in groups() for pid in live.group_of(name).processes())


def devices() -> list[str]:
    """The network devices besides the loopback."""
    return sorted(name for name in os.listdir("/proc/sys/net/ipv4/conf") if name not in ("all", "default", "lo"))


def mount_points() -> list[str]:
    """What is mounted below our directories, besides themselves."""
    targets = [mount.target for mount in mounts.mount_table()]
    return [target for target in targets if target.startswith(tuple(f"{place}/" for place in PLACES))]


def images_in_use() -> list[str]:
    """The files of jails of these tests that loop devices have; the kernel takes a moment to let go of one."""
    deadline = time.monotonic() + _LOOP_SECONDS
    while True:
        found = [file for file in filesystems.loop_devices().values() if PREFIX in file]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.01)


def clear() -> None:
    """End and remove what is left of jails of these tests, however it came about."""
    for name in groups():
        group = live.group_of(name)
        for pid in group.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        group.remove()
