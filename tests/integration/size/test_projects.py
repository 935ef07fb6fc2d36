# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Project numbers: each jail has its own, and none leaves it."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import (
    inodeflags,
    namespaces,
    paths,
    process,
    quota,
)
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import projects
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, module, shell
from ansible_collections.cellblock.jails.tests.integration.support.limited import (
    SKELETON,
    SLEEP,
    LibOn,
    Names,
    make,
    volume,
    write,
)


@pytest.mark.parametrize("kind", ["overlay", "directory"])
@pytest.mark.parametrize("userns", ["host", "auto"])
def test_no_jail_takes_its_files_out_of_the_account(
    lib_on: LibOn, name: str, probe: str, kind: str, userns: str
) -> None:
    """Its root owns its directories, and the kernel lets an owner in the host's user namespace say to which project a
    file belongs, and that a directory hands none on. (It lets root of the host do both.)"""
    lib_on("xfs")
    module("jail_rootfs", name=name, storage=kind, method="skeleton", binaries=["busybox", probe])
    module("jail_state", name=[name], userns=userns, **SLEEP)
    shell(name, "mkdir /srv/a")
    folder = f"{layout.storage(name)}/{'upper' if kind == 'overlay' else 'root'}/srv/a"
    with paths.opened(os.open(folder, os.O_RDONLY)) as directory:
        inodeflags.set_project(directory, projects.FIRST)
    attacks = [("setproject", "/srv/a", "0"), ("clearflags", "/srv/a", "0x20000000")]  # FS_PROJINHERIT_FL
    for attack in attacks:
        assert inside(name, probe, *attack) in ("EPERM\n", "EINVAL\n")
        shell(name, "touch /srv/a/file")
        with paths.opened(os.open(f"{folder}/file", os.O_RDONLY)) as file:
            assert inodeflags.project(file) == projects.FIRST
        shell(name, "rm /srv/a/file")
    for call, _path, number in reversed(attacks):
        assert subprocess.run([probe, call, folder, number], check=True, capture_output=True).stdout == b"ok\n"


@pytest.mark.parametrize("filesystem", ["ext4-prjquota", "xfs-prjquota"])
def test_project_numbers(lib: Callable[[str], None], names: Names, filesystem: str, tmp_path: Path) -> None:
    """Each jail has one of its own, from its beginning; those that the host's administrator has named or used are left
    alone; and a jail that is gone has left none."""
    lib(filesystem)
    given = names(3)
    for each in given:
        module("jail_rootfs", name=each, **SKELETON)
    numbers = [_number(each) for each in given]
    assert len(set(numbers)) == 3
    assert all(projects.is_ours(number) for number in numbers)
    module("jail_rootfs", name=given[0], size="16M")
    module("jail_state", name=given, state="absent")
    with paths.opened(os.open(layout.LIB, os.O_RDONLY)) as directory:
        assert not any(any(quota.usage(directory, number)) for number in numbers)
        # The number that the first would get again is taken by somebody else now.
        quota.set_limits(directory, numbers[0], 1 << 30, None)
        module("jail_rootfs", name=given[0], **SKELETON)
        assert _number(given[0]) != numbers[0]
        quota.set_limits(directory, numbers[0], None, None)
        for path, line in (("/etc/projid", f"backups:{numbers[1]}\n"), ("/etc/projects", f"{numbers[1]}:/srv\n")):
            with _covered(path, line, tmp_path):
                module("jail_rootfs", name=given[1], **SKELETON)
                assert _number(given[1]) != numbers[1]
                module("jail_state", name=[given[1]], state="absent")


def _number(name: str) -> int:
    with paths.opened(os.open(volume(name), os.O_RDONLY)) as directory:
        return inodeflags.project(directory)


@contextlib.contextmanager
def _covered(path: str, text: str, folder: Path) -> Iterator[None]:
    """Have a file of the host say something else, for a ``with`` block."""
    other = folder / os.path.basename(path)
    other.write_text(text, encoding="ascii")
    missing = not os.path.exists(path)
    if missing:
        Path(path).touch()
    subprocess.run(["mount", "--bind", str(other), path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)
        if missing:
            os.unlink(path)


@pytest.mark.parametrize("filesystem", ["ext4-prjquota", "xfs-prjquota"])
def test_a_jail_cannot_leave_its_project(lib: Callable[[str], None], name: str, filesystem: str) -> None:
    """Not even its root without any filter of system calls: the kernel lets no user namespace change the project of a
    file. The host's root can, and what he moves out is not counted."""
    lib(filesystem)
    make(name, "directory", size="16M")
    shell(name, "mkdir /srv/out")
    number = _number(name)

    def leave() -> None:
        with paths.opened(os.open("/srv/out", os.O_RDONLY)) as directory:
            assert inodeflags.project(directory) == number
            inodeflags.set_project(directory, 0)

    assert _as_root_of(name, leave) == errno.EINVAL
    assert not write(name, 20, "/srv/out/file")
    shell(name, "rm /srv/out/file")
    with paths.opened(os.open(os.path.join(volume(name), "root/srv/out"), os.O_RDONLY)) as directory:
        inodeflags.set_project(directory, 0)
    assert write(name, 20, "/srv/out/file")


def _as_root_of(name: str, action: Callable[[], None]) -> int:
    """Do something as the root of a jail's user and mount namespace, confined by nothing else; the number of the error
    that it met with, or 0."""
    pid = live.expect(name).pid

    def child() -> None:
        kinds = ("user", "mnt")
        for kind, descriptor in [(kind, namespaces.open_namespace(pid, kind)) for kind in kinds]:
            namespaces.setns(descriptor, namespaces.KINDS[kind])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        try:
            action()
        except OSError as error:
            os._exit(error.errno or 255)

    return process.wait(process.fork(child))
