# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure on a host without leaving a trace on it.

The work runs in mount, network and pid namespaces of its own, with empty directories in place of those in
:mod:`layout`. Whatever ends it, the kernel ends every process below it; cgroups and directories are cleared by the
parent, which stays outside.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from typing import Callable

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts, namespaces, paths, process

PREFIX = "bench-"
"""How the name of every jail and cgroup of ours begins."""

_PLACES = (layout.ETC, layout.LIB, layout.RUN, layout.LOG)


def run_apart(directory: str, work: Callable[[str], None]) -> int:
    """Run ``work`` in a child, apart from the host, and clear up; the child's exit status.

    :param directory: where to put what is written meanwhile; on a file system that overlay and idmapped mounts can use.
    :param work: gets an empty directory there.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    scratch = tempfile.TemporaryDirectory(prefix="jails-bench-", dir=directory)
    with scratch as folder, _mount_points(), _cgroups_cleared():
        os.chmod(folder, 0o755)  # the ids of a jail must get through to its tree
        known = os.path.exists(layout.IDS) and shutil.copy(layout.IDS, os.path.join(folder, "ids.json"))
        namespaces.unshare(namespaces.CLONE_NEWPID)
        child = process.fork(lambda: _apart(folder, work, bool(known)))
        try:
            return process.wait(child)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            process.wait(child)
            raise


@contextlib.contextmanager
def file_system(folder: str, kind: str, size: int) -> Iterator[None]:
    """Have a new file system of so many bytes in the place of the collection's directory, for a ``with`` block."""
    image = os.path.join(folder, f"{kind}.img")
    with open(image, "wb") as file:
        file.truncate(size)
    if shutil.which(f"mkfs.{kind}") is None:
        raise JailError(f"mkfs.{kind} is not installed")
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True, stderr=subprocess.DEVNULL)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(layout.BUILD_LOG)
    subprocess.run(["mount", "-o", "loop", image, layout.LIB], check=True)
    try:
        yield
    finally:
        reap()
        subprocess.run(["umount", layout.LIB], check=True)
        os.unlink(image)


def reap() -> None:
    """Collect what has ended: as pid 1 we are the parent of every orphan."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _apart(folder: str, work: Callable[[str], None], ids_known: bool) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    process.die_with_parent()
    status = 1
    try:
        namespaces.unshare(namespaces.CLONE_NEWNS | namespaces.CLONE_NEWNET)
        mounts.make_private()
        with paths.opened(paths.open_directory("/proc")) as proc:
            mounts.attach(mounts.create("proc", {}), proc)
        for number, place in enumerate(_PLACES):
            stand_in = os.path.join(folder, f"place{number}")
            os.mkdir(stand_in, 0o755)
            with paths.opened(paths.open_directory(stand_in)) as source:
                mount = mounts.clone(source)
            with paths.opened(paths.open_directory(place)) as target:
                mounts.attach(mount, target)
        if ids_known:  # no jail of ours gets the ids of one of the host's
            shutil.move(os.path.join(folder, "ids.json"), layout.IDS)
        work(folder)
        status = 0
    except KeyboardInterrupt:
        status = 130
    except JailError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
    except BaseException:  # noqa: BLE001 - whatever it is, it ends here: this is a forked child
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@contextlib.contextmanager
def _mount_points() -> Iterator[None]:
    made = []
    try:
        for place in _PLACES:
            if not os.path.isdir(place):
                os.mkdir(place, 0o700)
                made.append(place)
        yield
    finally:
        for place in made:
            with contextlib.suppress(OSError):  # somebody has begun to use it
                os.rmdir(place)


@contextlib.contextmanager
def _cgroups_cleared() -> Iterator[None]:
    parents = [
        os.path.join(mount.target, layout.CGROUP_PARENT)
        for mount in mounts.mount_table()
        if mount.fstype in ("cgroup", "cgroup2")
    ]
    missing = [parent for parent in parents if not os.path.isdir(parent)]
    try:
        yield
    finally:
        for parent in parents:
            for name in os.listdir(parent) if os.path.isdir(parent) else []:
                if name.startswith(PREFIX):
                    for folder, _children, _files in os.walk(os.path.join(parent, name), topdown=False):
                        os.rmdir(folder)
        for parent in missing:
            with contextlib.suppress(OSError):  # not made, or in use by others now
                os.rmdir(parent)
