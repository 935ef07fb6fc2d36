# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree that has one of everything that a jail's root can make, to see what of it a copy keeps."""

from __future__ import annotations

import os
import struct
from pathlib import Path

_NAMES = (
    b"plain", b"with space", b"-rf", b"--checkpoint-action=exec=sh", b"new\nline", b"tab\there", b"quote\"'`$(x)",
    b"back\\slash", b"trailing\\", b"star*?[a-z]", b"caf\xc3\xa9", b"not\xffutf8", b".hidden", b"#x", b"a" * 255,
    b"root", b"jail.json", b"PaxHeaders",
)  # fmt: skip
_MODES = (0o000, 0o400, 0o644, 0o777, 0o4755, 0o2755, 0o6711, 0o1644)
_OWNERS = ((0, 0), (1, 1), (1000, 1000), (65534, 65534), (65535, 65535), (12, 3456))
_TIMES_NS = (0, 1, 999_999_999, 1_234_567_890_123_456_789, -1_000_000_001, 4_102_444_800_000_000_001)
_CAP_NET_BIND_SERVICE = 1 << 10
# struct vfs_cap_data of linux/capability.h: VFS_CAP_REVISION_2 with the effective bit, permitted and inheritable.
_CAPABILITY = struct.pack("<5I", 0x02000001, _CAP_NET_BIND_SERVICE, 0, 0, 0)
# posix_acl_xattr_header and its entries (linux/posix_acl_xattr.h): version 2; tag, permissions, id.
_ACL = struct.pack(
    "<I" + "HHI" * 6,
    *(2, 0x01, 6, 0xFFFFFFFF, 0x02, 6, 1234, 0x04, 4, 0xFFFFFFFF, 0x08, 5, 4321, 0x10, 7, 0xFFFFFFFF),
    *(0x20, 0, 0xFFFFFFFF),
)


def furnish(top: Path) -> None:
    """Put it below ``rich`` in a tree, as its root could."""
    rich = top / "rich"
    rich.mkdir()
    _names(rich / "names")
    _owners_and_modes(rich / "owners")
    _links(rich / "links")
    _holes(rich / "holes")
    _attributes(rich / "attributes")
    os.mkfifo(rich / "fifo", 0o640)
    deep = rich / "deep"
    deep.mkdir()
    for level in range(60):
        deep /= f"{level:020}"
        deep.mkdir()
    (deep / "file").write_bytes(b"deep")
    _times(rich / "times")
    os.utime(rich, ns=(1, 1_600_000_000_000_000_007))


def _names(folder: Path) -> None:
    folder.mkdir()
    for number, name in enumerate(_NAMES):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(b"%d" % number)


def _owners_and_modes(folder: Path) -> None:
    folder.mkdir()
    for number, (uid, gid) in enumerate(_OWNERS):
        for mode in _MODES:
            path = folder / f"{number}-{mode:o}"
            path.write_bytes(b"")
            os.chown(path, uid, gid)
            path.chmod(mode)
    for mode in _MODES:
        inner = folder / f"folder-{mode:o}"
        inner.mkdir()
        (inner / "file").write_bytes(b"in it")
        os.chown(inner, 1000, 1001)
        inner.chmod(mode)


def _links(folder: Path) -> None:
    folder.mkdir()
    targets = ("/etc/passwd", "../../../../../../etc/shadow", "nowhere", ".", "x" * 4000, "new\nline")
    for number, target in enumerate(targets):
        (folder / f"link{number}").symlink_to(target)
        os.chown(folder / f"link{number}", number, number, follow_symlinks=False)
    (folder / "inner").mkdir()
    (folder / "one").write_bytes(b"one file, three names")
    os.link(folder / "one", folder / "inner" / "two")
    os.link(folder / "one", folder / "a-first")
    os.link(folder / "link0", folder / "inner" / "hard-link-to-link", follow_symlinks=False)


def _holes(folder: Path) -> None:
    folder.mkdir()
    (folder / "empty").write_bytes(b"")
    with open(folder / "all", "wb") as file:
        file.truncate(20 << 30)
    with open(folder / "some", "wb") as file:
        for offset in (0, 1 << 20, 100 << 20, (3 << 30) + 4096):
            file.seek(offset)
            file.write(os.urandom(5000))
        file.truncate(4 << 30)
    (folder / "zeros").write_bytes(bytes(100_000))  # written, so no hole


def _attributes(folder: Path) -> None:
    folder.mkdir()
    for name in ("file", "inner"):
        path = folder / name
        path.mkdir() if name == "inner" else path.write_bytes(b"x")
        os.setxattr(path, "user.text", b"value")
        os.setxattr(path, "user.binary", bytes(range(256)))
        os.setxattr(path, "user.empty", b"")
        os.setxattr(path, "user.with=equals sign\nand line", b"a=b\n12 c=d\n")
        os.setxattr(path, "system.posix_acl_access", _ACL)
    os.setxattr(folder / "inner", "system.posix_acl_default", _ACL)
    with_capability = folder / "with-capability"
    with_capability.write_bytes(b"\x7fELF")
    with_capability.chmod(0o755)
    os.chown(with_capability, 0, 1000)
    os.setxattr(with_capability, "security.capability", _CAPABILITY)


def _times(folder: Path) -> None:
    folder.mkdir()
    for time in _TIMES_NS:
        path = folder / f"at{time}"
        path.write_bytes(b"")
        os.utime(path, ns=(time, time))
        (folder / f"folder{time}").mkdir()
        os.utime(folder / f"folder{time}", ns=(time, time))
        (folder / f"link{time}").symlink_to("x")
        os.utime(folder / f"link{time}", ns=(time, time), follow_symlinks=False)


def capability() -> bytes:
    """A value of ``security.capability``: CAP_NET_BIND_SERVICE, permitted and effective."""
    return _CAPABILITY
