# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Structures and request numbers are those of the C headers: a small program prints what the compiler makes of them."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import btrfs, ext4, inodeflags, loop, quota
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.ioctl import Request


class Structure(NamedTuple):
    """A structure of ours and the C type that it stands for; fields that are called otherwise there, and those of ours
    that stand for what we do not look at."""

    ours: type[ctypes.Structure]
    header: str
    theirs: str
    other_names: Mapping[str, str] = MappingProxyType({})
    without: tuple[str, ...] = ()
    whole: bool = True


STRUCTURES = (
    Structure(btrfs.VolumeArguments, "linux/btrfs.h", "struct btrfs_ioctl_vol_args"),
    Structure(btrfs.VolumeArgumentsV2, "linux/btrfs.h", "struct btrfs_ioctl_vol_args_v2"),
    Structure(btrfs.LookupArguments, "linux/btrfs.h", "struct btrfs_ioctl_ino_lookup_args"),
    Structure(btrfs.FilesystemArguments, "linux/btrfs.h", "struct btrfs_ioctl_fs_info_args", {"rest": "nodesize"}),
    Structure(btrfs.QuotaArguments, "linux/btrfs.h", "struct btrfs_ioctl_quota_ctl_args"),
    Structure(btrfs.GroupArguments, "linux/btrfs.h", "struct btrfs_ioctl_qgroup_create_args"),
    Structure(
        btrfs.LimitArguments,
        "linux/btrfs.h",
        "struct btrfs_ioctl_qgroup_limit_args",
        {name: f"lim.{name}" for name in ("flags", "max_rfer", "max_excl", "rsv_rfer", "rsv_excl")},
    ),
    Structure(loop.Info, "linux/loop.h", "struct loop_info64"),
    Structure(loop.Config, "linux/loop.h", "struct loop_config", {"reserved": "__reserved"}),
    Structure(inodeflags.Attributes, "linux/fs.h", "struct fsxattr"),
    Structure(quota.Block, "linux/quota.h", "struct if_dqblk"),
    Structure(quota.State, "linux/dqblk_xfs.h", "struct fs_quota_stat", without=("rest",), whole=False),
)

REQUESTS = (
    *((each, "linux/btrfs.h", each.name) for each in btrfs.UNPRIVILEGED),
    (btrfs.SNAP_DESTROY, "linux/btrfs.h", "BTRFS_IOC_SNAP_DESTROY"),
    (btrfs.INO_LOOKUP, "linux/btrfs.h", "BTRFS_IOC_INO_LOOKUP"),
    (btrfs.FS_INFO, "linux/btrfs.h", "BTRFS_IOC_FS_INFO"),
    (btrfs.QUOTA_CTL, "linux/btrfs.h", "BTRFS_IOC_QUOTA_CTL"),
    (btrfs.QGROUP_CREATE, "linux/btrfs.h", "BTRFS_IOC_QGROUP_CREATE"),
    (btrfs.QGROUP_LIMIT, "linux/btrfs.h", "BTRFS_IOC_QGROUP_LIMIT"),
    (inodeflags.GET_FLAGS, "linux/fs.h", "FS_IOC_GETFLAGS"),
    (inodeflags.SET_FLAGS, "linux/fs.h", "FS_IOC_SETFLAGS"),
    (loop.GET_STATUS64, "linux/loop.h", "LOOP_GET_STATUS64"),
    (loop.SET_CAPACITY, "linux/loop.h", "LOOP_SET_CAPACITY"),
    (loop.CONFIGURE, "linux/loop.h", "LOOP_CONFIGURE"),
    (loop.CTL_GET_FREE, "linux/loop.h", "LOOP_CTL_GET_FREE"),
    (inodeflags.GET_ATTRIBUTES, "linux/fs.h", "FS_IOC_FSGETXATTR"),
    (inodeflags.SET_ATTRIBUTES, "linux/fs.h", "FS_IOC_FSSETXATTR"),
    (ext4.RESIZE_FS, "linux/ioctl.h", "_IOW('f', 16, unsigned long long)"),  # fs/ext4/ext4.h is not installed
)

CONSTANTS = (
    (btrfs._ROOT_INODE, "linux/btrfs_tree.h", "BTRFS_FIRST_FREE_OBJECTID"),
    (btrfs._QUOTA_DISABLE, "linux/btrfs.h", "BTRFS_QUOTA_CTL_DISABLE"),
    (btrfs._LIMIT_EXCLUSIVE, "linux/btrfs.h", "BTRFS_QGROUP_LIMIT_MAX_EXCL"),
    (btrfs._SUPER_MAGIC, "linux/magic.h", "BTRFS_SUPER_MAGIC"),
    (inodeflags._NO_COPIES, "linux/fs.h", "FS_NOCOW_FL"),
    (loop._AUTOCLEAR, "linux/loop.h", "LO_FLAGS_AUTOCLEAR"),
    (loop._DIRECT_IO, "linux/loop.h", "LO_FLAGS_DIRECT_IO"),
    (quota._GET, "linux/quota.h", "Q_GETQUOTA"),
    (quota._SET, "linux/quota.h", "Q_SETQUOTA"),
    (quota._PROJECTS, "linux/quota.h", "PRJQUOTA"),
    (quota._GET_STATE, "linux/dqblk_xfs.h", "Q_XGETQSTAT"),
    (quota._COUNTED, "linux/dqblk_xfs.h", "FS_QUOTA_PDQ_ACCT"),
    (quota._ENFORCED, "linux/dqblk_xfs.h", "FS_QUOTA_PDQ_ENFD"),
    (quota._LIMITS, "linux/quota.h", "QIF_LIMITS"),
    (inodeflags._INHERIT_PROJECT, "linux/fs.h", "FS_XFLAG_PROJINHERIT"),
)


def fields(structure: Structure) -> list[str]:
    """The names of our fields that are compared."""
    return [str(field[0]) for field in structure.ours._fields_ if field[0] not in structure.without]


def expressions() -> list[tuple[str, int]]:
    """C expressions and what we take them for."""
    found = []
    for structure in STRUCTURES:
        if structure.whole:
            found.append((f"sizeof({structure.theirs})", ctypes.sizeof(structure.ours)))
        for name in fields(structure):
            theirs = structure.other_names.get(name, name)
            found.append((f"offsetof({structure.theirs}, {theirs})", getattr(structure.ours, name).offset))
    found += [(f"(unsigned)({theirs})", request.number) for request, _header, theirs in REQUESTS]
    return [*found, *((f"(unsigned long long)({theirs})", ours) for ours, _header, theirs in CONSTANTS)]


def test_they_are_those_of_the_headers(tmp_path: Path) -> None:
    """Sizes, offsets, request numbers and constants."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    headers = dict.fromkeys([each.header for each in STRUCTURES] + [each[1] for each in (*REQUESTS, *CONSTANTS)])
    lines = [
        *("#include <stddef.h>", "#include <stdio.h>", "#include <sys/types.h>"),
        *(f"#include <{header}>" for header in headers),
        "int main(void) {",
        *(f'printf("%llu\\n", (unsigned long long)({text}));' for text, _ours in expressions()),
        "}",
    ]
    source = tmp_path / "layouts.c"
    source.write_text("\n".join(lines), encoding="ascii")
    command = [compiler, "-o", str(tmp_path / "layouts"), str(source)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if "No such file" in done.stderr:
        pytest.skip(f"headers are not installed: {done.stderr.splitlines()[0]}")
    assert not done.returncode, done.stderr
    printed = subprocess.run([str(tmp_path / "layouts")], check=True, capture_output=True, text=True).stdout
    found = [(text, int(number)) for (text, _ours), number in zip(expressions(), printed.split())]
    assert found == expressions()


@pytest.mark.parametrize("made", [request for request, _header, _name in REQUESTS], ids=lambda each: str(each.name))
def test_a_request_has_32_bits(made: Request) -> None:
    """As the kernel takes it."""
    assert 0 < made.number < 1 << 32


def test_the_state_of_quotas_fits() -> None:
    """The kernel fills the whole of ``struct fs_quota_stat``, which has 80 bytes."""
    assert ctypes.sizeof(quota.State) >= 80


def test_a_superblock_is_not_taken_from_anything_else(tmp_path: Path) -> None:
    """Files that are empty, short, or full of something else are refused by the error for damage."""
    for content in (b"", b"x" * 1500, bytes(4096), b"\xff" * 4096):
        path = tmp_path / "file"
        path.write_bytes(content)
        with path.open("rb") as file, pytest.raises(OSError, match="no ext4 file system"):
            ext4.superblock(file.fileno())
