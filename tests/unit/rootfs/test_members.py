# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of archives as tar prints them: names as they were, the root wherever it is, what does not belong in a jail."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods import members
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods.members import Member

names = st.binary(min_size=1, max_size=60).map(lambda name: name.replace(b"\0", b"n"))
parts = st.binary(min_size=1, max_size=8).map(lambda part: part.replace(b"\0", b"n").replace(b"/", b"s"))


def files(*given: bytes) -> list[Member]:
    return [Member(b"-", name) for name in given]


def read(text: bytes, most: int = 1000) -> list[Member]:
    return list(members.read(io.BytesIO(text), most))


def listed(given: Iterable[tarfile.TarInfo]) -> bytes:
    """What tar prints of an archive with these members."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as file:
        for member in given:
            file.addfile(member)
    command = ["tar", "--list", "--verbose", "--numeric-owner", "--quoting-style=c", "--file=-"]
    return subprocess.run(command, input=archive.getvalue(), check=True, capture_output=True).stdout


@pytest.mark.skipif(not shutil.which("tar"), reason="tar is not installed")
@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(names, st.sampled_from([b"-", b"l", b"h", b"c", b"b", b"d", b"p"]), names), max_size=8))
def test_names_are_read_as_the_archive_has_them(given_members: list[tuple[bytes, bytes, bytes]]) -> None:
    """Whatever bytes a name and the target of a link have, with tar itself as the writer of the list."""
    kinds = {b"-": b"0", b"h": b"1", b"l": b"2", b"c": b"3", b"b": b"4", b"d": b"5", b"p": b"6"}
    infos, expected = [], []
    for name, kind, target in given_members:
        whole = b"x" + name.replace(b"..", b"__") + b"x"  # a slash at the end would make a directory of a file
        info = tarfile.TarInfo(os.fsdecode(whole))
        info.type, info.linkname = kinds[kind], os.fsdecode(target)
        infos.append(info)
        expected.append(Member(kind, whole + b"/" if kind == b"d" else whole))
    assert read(listed(infos)) == expected


@given(st.binary())
def test_any_text_is_a_list_or_an_error(text: bytes) -> None:
    said = "a list"
    try:
        read(text)
    except ValueError as error:
        said = str(error)
    assert said.isprintable()


@pytest.mark.parametrize(
    ("given_names", "root"),
    [
        ([b"./", b"./etc/passwd", b"./usr/bin/x"], b""),
        ([b"etc/passwd", b"bin/x", b"README"], b""),
        ([b"/etc", b"/bin"], b""),
        ([b"image/etc/passwd", b"image/usr"], b"image"),
        ([b"././/image//etc", b"image/./sbin"], b"image"),
        ([b"/srv/etc/x", b"srv/bin"], b"srv"),
        ([b"\xff/etc", b"\xff/usr"], b"\xff"),
    ],
)
def test_the_root_is_found(given_names: list[bytes], root: bytes) -> None:
    assert members.find_root(files(*given_names)) == root


@pytest.mark.parametrize(
    "given_names",
    [
        [],
        [b"./"],
        [b"motd"],
        [b"etc/passwd"],
        [b"usr/bin/x", b"bin"],
        [b"a/etc", b"b/usr"],
        [b"a/etc", b"a/usr", b"b"],
        [b"a/b/etc", b"a/b/usr"],
        [b"etcetera", b"usr"],
    ],
)
def test_what_is_no_root_is_said_so(given_names: list[bytes]) -> None:
    with pytest.raises(ValueError, match="holds no root file system"):
        members.find_root(files(*given_names))


def test_mount_points_and_devices_are_omitted_as_they_are_spelt() -> None:
    given = [
        Member(b"d", b"./dev/"),
        Member(b"c", b"./dev/null"),
        Member(b"-", b".//dev/x"),
        Member(b"d", b"run"),
        Member(b"-", b"./home/dev/kept"),
        Member(b"-", b"./devices"),
        Member(b"c", b"./home/null"),
        Member(b"b", b"./home/dev/sda"),
    ]
    assert members.omit(given, b"") == members.Omitted(
        [b"./dev", b".//dev", b"run", b"./home/null", b"./home/dev/sda"], [b"./home/null", b"./home/dev/sda"]
    )
    below = [Member(member.kind, b"./image/" + member.name) for member in given]
    assert b"./image/./dev" in members.omit(below, b"image").spellings
    assert b"./image/./home/dev" not in members.omit(below, b"image").spellings


@given(st.lists(parts, min_size=1, max_size=4), st.sampled_from(members.MOUNTED), st.integers(0, 3))
def test_everything_below_a_mount_point_is_omitted(given_parts: list[bytes], mounted: bytes, slashes: int) -> None:
    name = b"/" * slashes + b"./" * slashes + mounted + b"/" * (slashes + 1) + b"/".join(given_parts)
    (spelling,) = members.omit(files(name), b"").spellings
    assert name.startswith(spelling + b"/")
    assert spelling.endswith(mounted)


def test_more_devices_than_anybody_needs_are_an_error() -> None:
    given = [Member(b"c", b"lib/%d" % number) for number in range(65)]
    assert members.omit(given[:64], b"").devices
    with pytest.raises(ValueError, match="has more than 64 device nodes; the last is 'lib/64'"):
        members.omit(given, b"")


@pytest.mark.parametrize("name", [b"../x", b"a/../../x", b"..", b"/../etc/passwd", b"a/.."])
def test_names_that_lead_out_are_an_error(name: bytes) -> None:
    with pytest.raises(ValueError, match="has a member whose name leads out of it: '"):
        read(b'-rw-r--r-- 0/0 0 2026-01-01 00:00 "' + name + b'"\n')


@pytest.mark.parametrize("owners", [b"65536/0", b"0/65536", b"4294967295/4294967295"])
def test_owners_that_no_jail_has_are_an_error(owners: bytes) -> None:
    with pytest.raises(ValueError, match=r"has a member whose owner no jail has, user [0-9]+ and group [0-9]+: 'x'"):
        read(b"-rw-r--r-- " + owners + b' 0 2026-01-01 00:00 "x"\n')
    assert read(b'-rw-r--r-- 65535/65535 0 2026-01-01 00:00 "x"\n')


def test_names_longer_than_paths_are_an_error() -> None:
    with pytest.raises(ValueError, match="has a member whose name is no path: ") as caught:
        read(b'-rw-r--r-- 0/0 0 2026-01-01 00:00 "' + b"a" * 100_000 + b'"\n')
    assert len(str(caught.value)) < 300


def test_members_are_counted() -> None:
    line = b'-rw-r--r-- 0/0 0 2026-01-01 00:00 "x"\n'
    assert len(read(line * 5, 5)) == 5
    with pytest.raises(OverflowError):
        read(line * 6, 5)


@given(st.binary())
def test_names_are_shown_in_one_harmless_line(name: bytes) -> None:
    assert members.shown(name).isprintable()
    assert len(members.shown(name)) < 2100
