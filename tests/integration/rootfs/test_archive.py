# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``archive``: trees as they were archived, in every compression, or a refusal that leaves nothing."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts, process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools, recipes, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.fetching import checksums
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods import archive
from ansible_collections.cellblock.jails.tests.integration.support import faults, web
from ansible_collections.cellblock.jails.tests.integration.support.layer import SmallDisk, dot_names, log_lines
from ansible_collections.cellblock.jails.tests.integration.support.processes import (
    in_another_process,
    kill_at_random,
    wait_for_no_children,
)
from ansible_collections.cellblock.jails.tests.integration.support.trees import facts, odd_files

COMPRESSIONS = {"tar": [], "gz": ["--gzip"], "xz": ["--xz"], "zst": ["--zstd"], "bz2": ["--bzip2"]}
_MIB = 1 << 20


@pytest.fixture
def tree(host: Path) -> Path:
    """The tree that is archived."""
    root = host / "tree"
    for folder in ("etc/ssh", "usr/bin", "dev", "proc", "sys", "run/lock", "var/spool/postfix/dev"):
        (root / folder).mkdir(parents=True)
    (root / "usr/bin/tool").write_bytes(os.urandom(200_000))
    (root / "etc/motd").write_text("hello\n")
    odd_files(root)
    return root


def pack(tree: Path, *options: str, members: str = ".") -> Path:
    """An archive of a tree, with all that tar keeps. Its name says nothing of what it is."""
    path = tree.parent / "archive"
    path.unlink(missing_ok=True)
    keep = ["--format=posix", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--sparse"]
    subprocess.run(["tar", "--create", f"--file={path}", *keep, *options, f"--directory={tree}", members], check=True)
    return path


def recipe_for(path: Path, **more: Any) -> recipes.Recipe:
    """The recipe for a file as it is now."""
    options = {"method": "archive", "path": str(path), "checksum": checksums.of_file(str(path)), **more}
    return recipes.parse(options)


def built(path: Path) -> Path:
    """The tree of the template that is built of an archive."""
    return Path(templates.tree(templates.ensure(recipe_for(path), build.confine)))


def refused(recipe: recipes.Recipe) -> str:
    """The error of a build, after which nothing is there."""
    with pytest.raises(JailError) as caught:
        templates.ensure(recipe, build.confine)
    assert nothing_left()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def nothing_left() -> bool:
    """Whether there is no template, whole or not, no download that is half made, and no mount of ours."""
    left = os.listdir(layout.TEMPLATES) if os.path.isdir(layout.TEMPLATES) else []
    mounted = [mount.target for mount in mounts.mount_table() if mount.target.startswith(layout.LIB + "/")]
    return (
        not [name for name in left if name != "lost+found"]
        + dot_names(f"{layout.LIB}/cache/downloads")
        + [target for target in mounted if not os.path.ismount(target) or target not in (layout.LIB, layout.TEMPLATES)]
    )


def archived(root: Path) -> dict[str, Any]:
    """All that there is to say of a tree, but for what a template leaves out on purpose."""
    found = facts(root)
    left_out = ("dev", "proc", "sys", "run")
    identity = ("etc", "etc/ssh", "etc/machine-id", ".", "./.")
    return {
        path: entry
        for path, entry in found.items()
        if path.removesuffix("/.") not in identity and path.split("/")[0] not in left_out
    }


# What is kept.


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_tree_is_as_it_was_archived(tree: Path, compression: str) -> None:
    """Owners, modes, times, links hard and symbolic, FIFOs, holes, extended attributes, capabilities, ACLs."""
    (tree / "odd/socket").unlink()  # tar does not archive sockets
    root = built(pack(tree, *COMPRESSIONS[compression]))
    assert archived(root) == archived(tree)
    assert os.lstat(root / "odd/sparse").st_blocks * 512 < _MIB
    assert os.getxattr(root / "odd/one", "security.capability") == os.getxattr(tree / "odd/one", "security.capability")


@pytest.mark.parametrize(
    "transform", ["s,^\\.,image-1.0,", "s,^\\.,./image-1.0,", "s,^\\.,/srv,", "s,^\\./,,", "s,^\\.,./,"]
)
def test_the_root_is_found_wherever_it_is(tree: Path, transform: str) -> None:
    """Below one leading folder, below ``./``, below both, at absolute names, and without anything before it."""
    os.mknod(tree / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    root = built(pack(tree, "--absolute-names", f"--transform={transform}S", "--show-transformed-names"))
    assert (root / "etc/motd").read_text() == "hello\n"
    assert sorted(os.listdir(root)) == ["dev", "etc", "odd", "proc", "run", "sys", "usr", "var"]
    assert os.listdir(root / "dev") == os.listdir(root / "run") == []


def test_what_belongs_to_no_jail_is_left_out(tree: Path) -> None:
    """Nodes and mount points with all in them, identity, marks of overlayfs, and how the root directory looks; nodes
    elsewhere are named in the log."""
    for name in ("dev/sda", "var/spool/postfix/dev/null", "odd/a\nb"):
        os.mknod(tree / name, stat.S_IFBLK | 0o666, os.makedev(8, 0))
    for name in ("etc/hostname", "etc/ssh/ssh_host_rsa_key", "etc/machine-id", "proc/x", "run/y"):
        (tree / name).write_text("secret")
    os.setxattr(tree / "usr", "user.overlay.opaque", b"y")
    os.setxattr(tree / "usr", "trusted.overlay.redirect", b"/etc")
    os.setxattr(tree / "usr", "user.note", b"kept")
    os.chmod(tree, 0o700)
    os.chown(tree, 1000, 1000)
    root = built(pack(tree))
    for name in ("dev", "proc", "sys", "run", "var/spool/postfix/dev"):
        assert os.listdir(root / name) == []
    assert sorted(os.listdir(root / "etc")) == ["machine-id", "motd", "ssh"]
    assert os.listdir(root / "etc/ssh") == []
    assert (root / "etc/machine-id").read_text() == ""
    assert os.listxattr(root / "usr") == ["user.note"]
    assert (stat.S_IMODE(root.stat().st_mode), root.stat().st_uid, root.stat().st_gid) == (0o755, 0, 0)
    said = [line for line in log_lines() if "left out" in line]
    assert sorted(line.partition("node ")[2] for line in said) == [r"'./odd/a\nb'", "'./var/spool/postfix/dev/null'"]


def test_the_key_is_of_the_content(tree: Path, host: Path) -> None:
    """One template wherever an archive lies."""
    path = pack(tree)
    root = built(path)
    shutil.copy(path, host / "copy")
    path.unlink()
    assert built(host / "copy") == root
    assert len(templates.names()) == 1


# What is refused.


def test_another_content_is_refused(tree: Path) -> None:
    path = pack(tree)
    recipe = recipe_for(path)
    with open(path, "r+b") as file:
        file.seek(100_000)
        file.write(b"changed")
    assert refused(recipe).startswith(f"checksum: {path} has the checksum sha256:")
    recipe = recipe_for(path, checksum=f"sha512:{hashlib.sha512(path.read_bytes()).hexdigest()}")
    assert templates.ensure(recipe, build.confine)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4])
def test_what_was_cut_short_is_refused(tree: Path, compression: str, cut: int) -> None:
    """After each quarter, just before the end, and when nothing is left. (tar by itself leaves what there was.)"""
    path = pack(tree, *COMPRESSIONS[compression])
    size = path.stat().st_size
    if cut == 4 and compression == "tar":
        size = size - size % 512 - 10_240  # the end of an archive is a whole record of zeros
    os.truncate(path, size * cut // 4 if cut < 4 else size - 5)
    partly = path.parent / "partly"
    partly.mkdir()
    subprocess.run(["tar", "-xf", path, "-C", partly], check=False, capture_output=True)
    wait_for_no_children()  # its decompressor
    assert os.listdir(partly) or cut < 2 or compression not in ("tar", "gz")
    assert refused(recipe_for(path)).startswith("path: the archive ")


@pytest.mark.parametrize("compression", ["gz", "xz", "zst", "bz2"])
def test_what_was_damaged_is_refused(tree: Path, compression: str) -> None:
    path = pack(tree, *COMPRESSIONS[compression])
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"damaged!")
    assert refused(recipe_for(path)).startswith("path: the archive cannot be unpacked: ")


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4" + bytes(2000), bytes(10240), b"hsqs" + bytes(4092), b"\x1f\x8bjunk"]
)
def test_what_is_no_archive_is_refused(host: Path, content: bytes) -> None:
    """Nothing, a zip, zeros only, a squashfs, and what only begins like gzip."""
    (host / "archive").write_bytes(content)
    assert refused(recipe_for(host / "archive")).startswith("path: the archive ")


def test_an_archive_without_a_root_is_refused(tree: Path) -> None:
    assert "holds no root file system, which has etc and one of bin, sbin, usr; it has 'motd'" in refused(
        recipe_for(pack(tree / "etc"))
    )
    shutil.rmtree(tree / "usr")
    assert "it has 'archive', 'dev', 'etc', 'odd', 'proc'" in refused(recipe_for(pack(tree)))
    below = tree.parent / "two/deep"
    below.mkdir(parents=True)
    os.rename(tree, below / "tree")
    assert "it has 'tree'" in refused(recipe_for(pack(below.parent)))


def test_owners_that_no_jail_has_are_refused(tree: Path) -> None:
    os.chown(tree / "etc/motd", 65536, 0)
    message = refused(recipe_for(pack(tree)))
    assert "has a member whose owner no jail has, user 65536 and group 0: './etc/motd'" in message


@pytest.mark.parametrize("kind", ["fifo", "directory", "missing", "device"])
def test_a_path_that_is_no_file_is_refused(host: Path, kind: str) -> None:
    path = host / "archive"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    place = "/dev/zero" if kind == "device" else str(path)
    recipe = recipes.parse({"method": "archive", "path": place, "checksum": f"sha256:{'0' * 64}"})
    assert refused(recipe).startswith(f"path: {place} ")


def test_a_file_that_changes_under_our_hands_is_refused(tree: Path) -> None:
    path = pack(tree)

    def confine_and_touch(place: str, job: Any) -> int:
        status = build.confine(place, job)
        os.utime(path)
        return status

    with pytest.raises(JailError, match=f"{path} was written to while it was read"):
        templates.ensure(recipe_for(path), confine_and_touch)
    assert nothing_left()


def test_a_host_without_the_programs_is_told_which(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tree)
    only_busybox = tree.parent / "bin"
    only_busybox.mkdir()
    os.symlink("/bin/busybox", only_busybox / "tar")
    monkeypatch.setattr(hosttools, "_SEARCH_PATH", str(only_busybox))
    assert "the host's tar is not GNU tar" in refused(recipe_for(path))
    os.unlink(only_busybox / "tar")
    assert "tar is not installed on the host; install the package tar there" in refused(recipe_for(path))


# What would take too much.


def test_a_small_file_that_unpacks_to_much_is_stopped(host: Path, small_disk: SmallDisk) -> None:
    """At a quarter of what is free, long before the disk is full; by each way of compressing."""
    small_disk(layout.TEMPLATES, 64)
    for compression in ("gzip", "xz", "zstd", "bzip2"):
        subprocess.run(f"head -c 32M /dev/zero | {compression} > {host}/archive", shell=True, check=True)
        assert (host / "archive").stat().st_size < _MIB  # and 32 of them for who believes it
        assert "the archive unpacks to more than" in refused(recipe_for(host / "archive"))


def test_a_large_archive_of_little_is_stopped_by_its_ratio(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is room; what is compressed as trees are is not."""
    monkeypatch.setattr(archive, "_ALWAYS", _MIB)
    (host / "archive").write_bytes(gzip.compress(bytes(64 * _MIB)))
    message = refused(recipe_for(host / "archive"))
    assert "100 times its size" in message
    assert "decompress the archive beforehand" in message


def test_too_many_files_are_stopped(host: Path, small_disk: SmallDisk) -> None:
    small_disk(layout.TEMPLATES, 16)
    members = host / "tree"
    for folder in ("etc", "usr"):
        (members / folder).mkdir(parents=True)
    for number in range(2000):
        (members / "usr" / str(number)).touch()
    message = refused(recipe_for(pack(members)))
    assert re.search(r"the archive unpacks to more than \d+ files; .* quarter of what is free", message)


def test_a_tree_that_does_not_fit_names_the_disk(tree: Path, small_disk: SmallDisk) -> None:
    """One whose parts are within bounds and whose sum is not, because others write there too."""
    small_disk(layout.TEMPLATES, 16)
    path = pack(tree)
    real = build.confine

    def confine_with_others(place: str, job: Any) -> int:
        if "--extract" in job.command:
            free = os.statvfs(place)
            with open(f"{place}/../others", "wb") as file:
                os.posix_fallocate(file.fileno(), 0, (free.f_bavail - 20) * free.f_frsize)
        return real(place, job)

    with pytest.raises(JailError, match=r"No space left on device: the ext4 file system mounted on .* has 0 of"):
        templates.ensure(recipe_for(path), confine_with_others)
    assert nothing_left()


def test_a_program_that_takes_too_much_memory_is_ended(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of many megabytes, which tar keeps in memory, ends tar and harms nobody."""
    monkeypatch.setattr(archive, "_MEMORY", 24 * _MIB)
    path = tree.parent / "archive"
    header = bytearray(512)
    header[:13], header[124:136], header[156:157] = b"././@LongLink", b"%011o\0" % (256 * _MIB), b"L"
    header[257:265] = b"ustar  \0"
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    with open(path, "wb") as file:
        file.write(header)
        file.write(b"a" * (256 * _MIB))
        file.write(bytes(1024))
    assert "tar ended with status 137" in refused(recipe_for(path))


# Downloads.


def test_an_archive_from_the_web(tree: Path) -> None:
    """Verified, then as one from a file; a wrong checksum or an early end leaves nothing, not even in the cache."""
    content = pack(tree, "--gzip").read_bytes()
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    answers = {"/good": web.whole(content), "/short": web.cut_short(content[:-9], len(content))}
    with web.serving(answers) as server:
        for name in ("short", "none"):
            assert refused(recipes.parse({"method": "archive", "url": f"{server}/{name}", "checksum": checksum}))
        wrong = recipes.parse({"method": "archive", "url": f"{server}/good", "checksum": f"sha256:{'0' * 64}"})
        assert f"has the checksum {checksum}" in refused(wrong)
        assert not os.listdir(f"{layout.LIB}/cache/downloads")
        key = templates.ensure(
            recipes.parse({"method": "archive", "url": f"{server}/good", "checksum": checksum}), build.confine
        )
    assert Path(templates.tree(key), "etc/motd").read_text() == "hello\n"


# Killed.


def test_killed_at_any_moment_the_next_build_converges(tree: Path) -> None:
    path = pack(tree, "--gzip")
    recipe = recipe_for(path)
    hits = 0
    for _time in range(15):
        hits += kill_at_random(lambda: templates.ensure(recipe, build.confine), 0.25)
        wait_for_no_children()
        templates.sweep()
        templates.remove(recipes.key(recipe))
        assert nothing_left()
    assert hits > 3
    assert (built(path) / "etc/motd").read_text() == "hello\n"


def test_killed_at_every_step_the_next_build_converges(tree: Path) -> None:
    recipe = recipe_for(pack(tree, "--gzip"))
    key = recipes.key(recipe)

    def finish() -> None:
        assert templates.ensure(recipe, build.confine) == key
        assert (Path(templates.tree(key)) / "etc/motd").read_text() == "hello\n"
        templates.remove(key)

    faults.survives_every_kill(lambda: templates.ensure(recipe, build.confine), finish, faults.SLOW)


def test_a_killed_build_takes_its_programs_along(host: Path) -> None:
    """While a decompressor is at work."""
    (host / "archive").write_bytes(gzip.compress(bytes(16 * _MIB), 1) * 64)
    recipe = recipe_for(host / "archive")
    pid = in_another_process(lambda: templates.ensure(recipe, build.confine))
    time.sleep(0.5)
    os.kill(pid, signal.SIGKILL)
    assert process.wait(pid) == 128 + signal.SIGKILL
    wait_for_no_children()
    templates.sweep()
    assert nothing_left()
