# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives with device nodes, FIFOs and set-user-ID programs, and with a root directory that is none."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.tests.integration.support.archives import Archive, Naive
from ansible_collections.cellblock.jails.tests.integration.support.calls import jail, shell
from ansible_collections.cellblock.jails.tests.integration.support.hostile import Canary, Case, parametrized, run

CHR, BLK = tarfile.CHRTYPE, tarfile.BLKTYPE
_NOBODY = 65534


def _opens(naive: Naive, path: str) -> bool:
    """The host opens the device behind a node."""
    os.close(os.open(naive.root / path, os.O_RDONLY | os.O_NONBLOCK))
    return True


def _is_device(naive: Naive, path: str, major: int, minor: int) -> bool:
    return os.lstat(naive.root / path).st_rdev == os.makedev(major, minor)


def _nowhere(_name: str, tree: Path) -> None:
    """No node is anywhere in the tree."""
    for folder, folders, files in os.walk(tree):
        for name in [*folders, *files]:
            mode = os.lstat(os.path.join(folder, name)).st_mode
            assert not stat.S_ISCHR(mode), name
            assert not stat.S_ISBLK(mode), name


def _disks(archive: Archive, _canary: Canary) -> None:
    for number, (major, minor) in enumerate(((8, 0), (254, 0), (259, 0), (7, 0))):
        archive.device(f"var/disk{number}", BLK, major, minor)


def _memory(archive: Archive, _canary: Canary) -> None:
    for name, minor in (("mem", 1), ("kmem", 2), ("port", 4), ("kmsg", 11)):
        archive.device(f"usr/{name}", CHR, 1, minor)


def _many(archive: Archive, _canary: Canary) -> None:
    for number in range(100):
        archive.device(f"var/null{number}", CHR, 1, 3)


def _replaced_by_file(archive: Archive, _canary: Canary) -> None:
    archive.device("etc/motd", CHR, 1, 3)
    archive.file("etc/motd")


def _linked(archive: Archive, _canary: Canary) -> None:
    archive.device("var/null", CHR, 1, 3)
    archive.link("var/again", "var/null")


def _fifos(archive: Archive, _canary: Canary) -> None:
    for name in ("etc/hostname", "etc/machine-id", "etc/resolv.conf", "etc/ssh", "var/lib", "etc/os-release"):
        archive.fifo(name)


def _fifo_then_file(archive: Archive, _canary: Canary) -> None:
    archive.fifo("etc/hostname")
    archive.file("etc/hostname")


def _status_fifo(archive: Archive, _canary: Canary) -> None:
    archive.fifo("var/lib/dpkg/status")
    archive.fifo("etc/group")


def _blocks_a_reader(naive: Naive, path: str) -> bool:
    """Who opens it to write finds no reader, and would wait for one."""
    try:
        os.close(os.open(naive.root / path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        return error.strerror == "No such device or address"
    return False


def _setuid(archive: Archive, _canary: Canary) -> None:
    archive.file("bin/su", Path("/bin/busybox").read_bytes(), 0o6755)


def _is_root_by(path: Path) -> bool:
    """Whether a user of the host becomes root by a program."""
    read, write = os.pipe()

    def run_as_nobody() -> None:
        os.dup2(write, 1)
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        os.execv(path, ["stat", "-c", "%u", "/proc/self"])

    try:
        status = process.wait(process.fork(run_as_nobody))
        os.close(write)
        return status == 0 and os.read(read, 100) == b"0\n"
    finally:
        os.close(read)


def _reached(naive: Naive, _canary: Canary) -> bool:
    for folder in (naive.root.parent, naive.root):
        folder.chmod(0o755)
    return _is_root_by(naive.root / "bin/su")


def _not_reached(name: str, tree: Path) -> None:
    assert stat.S_IMODE((tree / "bin/su").stat().st_mode) == 0o6755
    assert not _is_root_by(tree / "bin/su")
    # in the jail it is what it is meant to be: a program by which its users become its root
    done = jail("exec", "-u", "1000", name, "--", "/bin/su", "true")
    assert b"ermission denied" not in done.stderr


def _odd_root(archive: Archive, _canary: Canary) -> None:
    archive.directory("./", 0, uid=1000, gid=1000)
    archive.directory(".", 0o7000, uid=1000)


def _root_as_it_should_be(name: str, tree: Path) -> None:
    status = tree.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o755, 0, 0)
    assert shell(name, "stat -c '%a %u' /") == "755 0\n"


def _root_is_link(archive: Archive, canary: Canary) -> None:
    archive.symlink("./", canary.place)
    archive.file("file")


def _root_twice(archive: Archive, canary: Canary) -> None:
    archive.directory("./")
    archive.symlink(".", canary.place)
    archive.file("./file")


def _locked_out(naive: Naive, _canary: Canary) -> bool:
    status = naive.root.stat()
    return status.st_uid == 1000 and not status.st_mode & 0o777


CASES = (
    Case("null-elsewhere", lambda archive, _canary: archive.device("var/null", CHR, 1, 3),
         lambda naive, _canary: _opens(naive, "var/null"), look=_nowhere),
    Case("disks", _disks, lambda naive, _canary: _is_device(naive, "var/disk1", 254, 0), look=_nowhere),
    Case("memory", _memory, lambda naive, _canary: _opens(naive, "usr/kmsg"), look=_nowhere),
    Case("whiteout", lambda archive, _canary: archive.device("usr/gone", CHR, 0, 0),
         lambda naive, _canary: _is_device(naive, "usr/gone", 0, 0), look=_nowhere),
    Case("large-numbers", lambda archive, _canary: archive.device("usr/large", BLK, 0o7777777, 0o7777777),
         lambda naive, _canary: naive.errors or os.lstat(naive.root / "usr/large").st_rdev, look=_nowhere),
    Case("node-then-file", _replaced_by_file, lambda naive, _canary: _is_device(naive, "etc/motd", 1, 3),
         look=_nowhere),
    Case("node-and-hard-link", _linked, lambda naive, _canary: _opens(naive, "var/again"),
         "cannot be unpacked: .*Cannot hard link to"),
    Case("many-nodes", _many, lambda naive, _canary: _opens(naive, "var/null99"),
         "has more than 64 device nodes; the last is 'var/null64'"),
    Case("fifos-where-files-are-read", _fifos, lambda naive, _canary: _blocks_a_reader(naive, "etc/machine-id")),
    Case("fifo-then-file", _fifo_then_file, lambda naive, _canary: naive.hung),
    Case("fifos-of-a-package-database", _status_fifo,
         lambda naive, _canary: _blocks_a_reader(naive, "var/lib/dpkg/status")),
    Case("setuid", _setuid, _reached, look=_not_reached),
    Case("root-locked", _odd_root, _locked_out, look=_root_as_it_should_be),
    Case("root-locked-first", _odd_root, _locked_out, look=_root_as_it_should_be, first=True),
    Case("root-is-a-link", _root_is_link, lambda _naive, canary: canary.hit(), "cannot be unpacked", first=True),
    Case("root-doubled", _root_twice, lambda _naive, canary: canary.hit(), "cannot be unpacked", first=True),
    Case("root-is-a-fifo", lambda archive, _canary: archive.fifo("."), lambda naive, _canary: naive.errors,
         "cannot be unpacked", first=True),
)  # fmt: skip


@parametrized(CASES)
def test_nodes(case: Case, name: str) -> None:
    """See :mod:`..support.hostile`."""
    run(case, name)
