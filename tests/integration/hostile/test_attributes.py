# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives with owners, times, extended attributes and ACLs that no jail should have, or no file system takes."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from ansible_collections.cellblock.jails.tests.integration.support.archives import Archive, Naive, binary, header
from ansible_collections.cellblock.jails.tests.integration.support.calls import jail, shell
from ansible_collections.cellblock.jails.tests.integration.support.hostile import (
    Canary,
    Case,
    Effect,
    Fill,
    parametrized,
    run,
)

_CANNOT = "path: the archive cannot be unpacked: tar ended with status "
_OWNER = "path: the archive has a member whose owner no jail has, "
# struct vfs_ns_cap_data of linux/capability.h: revision 2 or 3 with the effective bit, all capabilities permitted
_ALL_CAPABILITIES = b"\x01\0\0\x02" + b"\xff" * 4 + bytes(4) + b"\xff\x01\0\0" + bytes(4)
_ALL_FOR_HOST_ROOT = b"\x01\0\0\x03" + _ALL_CAPABILITIES[4:] + (1000).to_bytes(4, "little")


def _with_xattrs(name: str, **xattrs: bytes) -> Fill:
    """A file and a directory with these; ``__`` stands for a dot."""
    pax = {f"SCHILY.xattr.{key.replace('__', '.')}": value.decode("latin-1") for key, value in xattrs.items()}

    def fill(archive: Archive, _canary: Canary) -> None:
        archive.add(name, b"0", b"hostile\n", pax)
        archive.add("usr", b"5", b"", pax, mode=0o755)

    return fill


def _capable(value: bytes) -> Fill:
    """A program with file capabilities. They are bytes, which tarfile would write as UTF-8: a record by hand."""

    def fill(archive: Archive, _canary: Canary) -> None:
        record = b" SCHILY.xattr.security.capability=" + value + b"\n"
        length = len(record) + 2
        content = b"%d%s" % (length, record)
        archive.raw(header(b"pax", b"x", b"%011o\0" % len(content)), content)
        archive.file("bin/able/busybox", Path("/bin/busybox").read_bytes(), 0o755)

    return fill


def _has(*names: str) -> Effect:
    """The believing extractor, which is root of the host, sets them."""
    return lambda naive, _canary: set(names) <= set(os.listxattr(naive.root / "usr"))


def _has_none(_name: str, tree: Path) -> None:
    for folder, folders, files in os.walk(tree):
        for entry in [".", *folders, *files]:
            path = os.path.join(folder, entry)
            assert not os.listxattr(path, follow_symlinks=False), path


def _still_works(name: str, tree: Path) -> None:
    """What overlayfs would take for its marks is not there, so the layer shows all that is in it."""
    _has_none(name, tree)
    assert shell(name, "ls /usr; cat /etc/motd") == "hostile\n"


def _only_for_the_jail(name: str, tree: Path) -> None:
    """The capabilities are there, and belong to the jail's own root: its bounding set still holds."""
    assert os.listxattr(tree / "bin/able/busybox") == ["security.capability"]
    done = jail("exec", "-u", "1000", name, "--", "/bin/able/busybox", "cat", "/proc/self/status")
    held = [line.split()[1] for line in done.stdout.decode().splitlines() if line.startswith("CapEff")]
    if done.returncode:
        assert b"not permitted" in done.stderr  # the kernel does not run it without all of them
    else:
        assert held == [f"{0:016x}"]


def _owned(uid: int, gid: int = 0) -> Fill:
    return lambda archive, _canary: archive.raw(
        header(b"etc/motd", b"0", b"%011o\0" % 8, uid=binary(uid, 8), gid=binary(gid, 8)), b"hostile\n"
    )


def _owner_is(uid: int) -> Effect:
    return lambda naive, _canary: os.lstat(naive.root / "etc/motd").st_uid == uid


def _named_root(archive: Archive, _canary: Canary) -> None:
    """A number and a name that do not say the same: who goes by names gives it to root."""
    archive.add("bin/su", b"0", Path("/bin/busybox").read_bytes(), mode=0o4755, uid=1000, gid=1000, uname="root")


def _by_name_is_root(naive: Naive, _canary: Canary) -> bool:
    return pwd.getpwnam("root").pw_uid == 0 and os.lstat(naive.root / "bin/su").st_uid == 1000


def _owner_by_number(name: str, tree: Path) -> None:
    status = os.lstat(tree / "bin/su")
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (1000, 0o4755)
    assert shell(name, "stat -c %u /bin/su") == "1000\n"


def _dated(mtime: int) -> Fill:
    return lambda archive, _canary: archive.raw(
        header(b"etc/motd", b"0", b"%011o\0" % 8, mtime=binary(mtime)), b"hostile\n"
    )


def _odd_date(naive: Naive, _canary: Canary) -> bool:
    status = os.lstat(naive.root / "etc/motd")
    return bool(naive.errors) or status.st_mtime < 0 or status.st_mtime > 1 << 32


def _acl(text: str) -> Fill:
    return lambda archive, _canary: archive.add("etc/motd", b"0", b"hostile\n", {"SCHILY.acl.access": text})


def _has_acl(naive: Naive, _canary: Canary) -> bool:
    return "system.posix_acl_access" in os.listxattr(naive.root / "etc/motd")


def _all_modes(archive: Archive, _canary: Canary) -> None:
    archive.file("etc/motd", mode=0o7777)
    archive.directory("var/open", 0o7777)
    archive.raw(header(b"etc/more", b"0", mode=b"7777777\0"))


CASES = (
    Case("overlay-opaque", _with_xattrs("etc/motd", user__overlay__opaque=b"y"), _has("user.overlay.opaque"),
         look=_still_works),
    Case("overlay-redirect",
         _with_xattrs("etc/motd", user__overlay__redirect=b"/../../../../etc", user__overlay__metacopy=b""),
         _has("user.overlay.redirect"), look=_still_works),
    Case("overlay-whiteouts",
         _with_xattrs("etc/motd", user__overlay__opaque=b"x", user__overlay__whiteout=b"y"),
         _has("user.overlay.whiteout"), look=_still_works),
    Case("trusted", _with_xattrs("etc/motd", trusted__overlay__opaque=b"y", trusted__md5sum=b"x"),
         _has("trusted.overlay.opaque", "trusted.md5sum"), look=_still_works),
    Case("security", _with_xattrs("etc/motd", security__selinux=b"system_u:object_r:shadow_t:s0", security__x=b"y"),
         _has("security.x"), look=_still_works),
    Case("xattr-too-large", _with_xattrs("etc/motd", user__large=b"x" * 70_000),
         lambda naive, _canary: not os.listxattr(naive.root / "etc/motd"), "cannot be unpacked|cannot be built"),
    Case("xattr-without-name", _with_xattrs("etc/motd", user__=b"x"),
         lambda naive, _canary: not os.listxattr(naive.root / "etc/motd"), _CANNOT),
    Case("all-capabilities", _capable(_ALL_CAPABILITIES),
         lambda naive, _canary: (naive.root / "bin/able/busybox").exists(), look=_only_for_the_jail),
    Case("capabilities-of-another-root", _capable(_ALL_FOR_HOST_ROOT),
         lambda naive, _canary: (naive.root / "bin/able/busybox").exists(), look=_only_for_the_jail),
    Case("owner-after-the-last", _owned(65_536), _owner_is(65_536), _OWNER + "user 65536 and group 0: 'etc/motd'"),
    Case("owner-of-another-jail", _owned(0x1000_0000), _owner_is(0x1000_0000), _OWNER),
    Case("owner-of-32-bits", _owned((1 << 32) - 2), _owner_is((1 << 32) - 2), _OWNER),
    Case("owner-that-means-none", _owned((1 << 32) - 1),
         lambda naive, canary: naive.errors or _owner_is(0)(naive, canary), _OWNER),
    Case("owner-negative", _owned(-2), lambda naive, _canary: naive.errors, _CANNOT),
    Case("group-after-the-last", _owned(0, 65_536),
         lambda naive, _canary: os.lstat(naive.root / "etc/motd").st_gid == 65_536, _OWNER),
    Case("owner-named-root", _named_root, _by_name_is_root, look=_owner_by_number),
    Case("time-before-1901", _dated(-(1 << 40)), _odd_date),
    Case("time-negative", _dated(-86_400), _odd_date),
    Case("time-after-the-sun", _dated(1 << 60), _odd_date),
    Case("acl-of-huge-ids", _acl("user::rw-,user:99999999:rwx,group::r--,mask::rwx,other::---"), _has_acl, _CANNOT),
    Case("acl-after-the-last", _acl("user::rw-,user:65536:rwx,group::r--,mask::rwx,other::---"), _has_acl, _CANNOT),
    Case("acl-that-is-none", _acl("user::rw-,nonsense"), lambda naive, _canary: not _has_acl(naive, _canary), _CANNOT),
    Case("all-modes", _all_modes, lambda naive, _canary: (naive.root / "etc/motd").stat().st_mode & 0o7000 == 0o7000),
)  # fmt: skip


@parametrized(CASES)
def test_attributes(case: Case, name: str) -> None:
    """See :mod:`..support.hostile`."""
    run(case, name)
