# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jail's tree is its own to fill: whatever it holds where the host looks, it holds only against itself."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage
from ansible_collections.cellblock.jails.tests.integration.support import evidence
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    attempt,
    inside,
    jail,
    module,
    pid_of,
    refused,
)


def replace_by_link(tree: Path, name: str, target: object) -> None:
    """Put a symbolic link in the place of a name of the tree. (In an overlay it hides what the template has.)"""
    path = tree / name
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(str(target))


@pytest.mark.row(4)
@pytest.mark.parametrize("place", ["dev", "proc", "sys", "run"])
def test_a_mount_point_that_is_a_link_is_refused(tree: tuple[str, Path], canary: Path, place: str) -> None:
    """With /dev, /proc, /sys or /run a link to a directory of the host, or to one of its own tree, the jail does not
    start, the error names the place, and nothing is left or touched. (A program of the host that goes by the name does
    follow such a link.)"""
    name, top = tree
    for target in (canary, "/etc", "../../../../../../etc"):
        replace_by_link(top, place, target)
        message = refused("jail_state", name=[name], state="started")
        assert f"/{place} of the root file system must be a directory, not a link" in message
        assert live.find(name) is None
        assert not live.group_of(name).exists()
    replace_by_link(top, place, canary)
    assert (top / place / "file").read_text(encoding="utf-8") == "host\n"


@pytest.mark.row(4)
def test_a_mount_point_that_is_a_file_is_refused(tree: tuple[str, Path]) -> None:
    """The same for a file, a FIFO and a device in its place."""
    name, top = tree
    shutil.rmtree(top / "proc", ignore_errors=True)
    (top / "proc").write_text("x", encoding="utf-8")
    assert "/proc of the root file system must be a directory" in refused("jail_state", name=[name], state="started")
    (top / "proc").unlink()
    os.mkfifo(top / "proc")
    assert "/proc of the root file system must be a directory" in refused("jail_state", name=[name], state="started")


@pytest.mark.row(4)
def test_a_writable_layer_that_is_a_link_is_refused(name: str, tmp_path: Path) -> None:
    """The directories of an overlay that the jail's changes go to are looked up once, without links, and handed over
    as what was found. Overlayfs itself follows a link."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    for part in ("elsewhere", "elsewhere/upper", "elsewhere/work", "lower", "merged"):
        (tmp_path / part).mkdir()
    upper = Path(layout.storage(name), "upper")
    upper.rename(upper.with_name("aside"))
    upper.symlink_to(tmp_path / "elsewhere/upper")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere/upper")
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/link,workdir={tmp_path}/elsewhere/work"
    script = 'mount -t overlay -o "$0" none "$1" && touch "$1/written"'
    subprocess.run(["unshare", "-m", "sh", "-c", script, options, str(tmp_path / "merged")], check=True)
    assert os.listdir(tmp_path / "elsewhere/upper") == ["written"]
    message = refused("jail_state", name=[name], command=["sh", "-c", "touch /escaped; sleep 99"], state="started")
    assert "upper" in message
    assert os.listdir(tmp_path / "elsewhere/upper") == ["written"]
    upper.unlink()
    upper.with_name("aside").rename(upper)


@pytest.mark.row(7)
@pytest.mark.parametrize("way", ["absolute", "climbing", "through-proc"])
def test_files_that_the_host_writes_stay_inside(tree: tuple[str, Path], canary: Path, way: str) -> None:
    """/etc/hostname and /etc/resolv.conf that are links to files of the host become files of the jail, at a start and
    live; the host's are not written. (A write by name does reach them.)"""
    name, top = tree
    prefix = {"absolute": "", "climbing": "/../../../../../../../../..", "through-proc": "/proc/1/root"}[way]
    for file in ("hostname", "resolv.conf"):
        replace_by_link(top, f"etc/{file}", f"{prefix}{canary}/{file}")
    if way != "through-proc":
        assert (top / "etc/hostname").read_text(encoding="utf-8") == "host\n"
    module("jail_net", name=name, dns=["192.0.2.1"])
    module("jail_state", name=[name], state="started")
    assert inside(name, "cat", "/etc/hostname", "/etc/resolv.conf") == "guest\nnameserver 192.0.2.1\n"
    inside(name, "ln", "-sf", f"{canary}/resolv.conf", "/etc/resolv.conf")
    module("jail_net", name=name, dns=["192.0.2.2"])
    assert inside(name, "cat", "/etc/resolv.conf") == "nameserver 192.0.2.2\n"
    assert not (top / "etc/resolv.conf").is_symlink()


@pytest.mark.row(7)
@pytest.mark.parametrize("target", ["canary", "/opt"])
def test_etc_that_is_a_link_stays_inside(tree: tuple[str, Path], canary: Path, target: str) -> None:
    """With all of /etc a link, out of the tree or within it, the start is refused with the place named, or what it
    writes goes to where the link leads inside."""
    name, top = tree
    replace_by_link(top, "etc", canary if target == "canary" else target)
    result = attempt("jail_state", name=[name], state="started")
    if result.get("failed"):
        assert "etc" in result["msg"]
        assert not live.group_of(name).exists()
    else:
        assert inside(name, "cat", "/etc/hostname") == "guest\n"


@pytest.mark.row(11)
def test_a_fifo_in_place_of_a_file_hangs_nobody(tree: tuple[str, Path]) -> None:
    """A FIFO that nobody writes to, where the host reads and writes, is replaced; who reads it by name would wait."""
    name, top = tree
    (top / "etc").mkdir(exist_ok=True)
    for file in ("hostname", "resolv.conf"):
        (top / "etc" / file).unlink(missing_ok=True)
        os.mkfifo(top / "etc" / file)
    with pytest.raises(BlockingIOError):
        os.read(_open_both(top / "etc/hostname"), 1)
    module("jail_net", name=name, dns=["192.0.2.1"])
    module("jail_state", name=[name], state="started")
    assert inside(name, "cat", "/etc/hostname") == "guest\n"
    inside(name, "sh", "-c", "rm /etc/resolv.conf; mkfifo /etc/resolv.conf")
    result = module("jail_net", name=name, dns=["192.0.2.1"])
    assert result["changed"]
    assert inside(name, "cat", "/etc/resolv.conf") == "nameserver 192.0.2.1\n"


def _open_both(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


def test_a_directory_in_place_of_a_file_is_a_clear_error(tree: tuple[str, Path]) -> None:
    """What cannot be replaced by a file is named."""
    name, top = tree
    (top / "etc/hostname").unlink(missing_ok=True)
    (top / "etc/hostname/full").mkdir(parents=True)
    message = refused("jail_state", name=[name], state="started")
    assert "hostname" in message
    assert not live.group_of(name).exists()


def test_a_large_file_is_read_in_part(box: str) -> None:
    """A resolv.conf of many megabytes, or without a line's end, costs the host a bounded read."""
    inside(box, "sh", "-c", "head -c 30000000 /dev/zero > /etc/resolv.conf")
    module("jail_net", name=box, dns=["192.0.2.9"])
    assert inside(box, "cat", "/etc/resolv.conf") == "nameserver 192.0.2.9\n"


@pytest.mark.row(1)
def test_null_device_replaced_by_the_jail_covers_nothing_of_the_host(tree: tuple[str, Path], canary: Path) -> None:
    """What the tree has as /dev/null is no source of a cover: the covers are devices that the host made. (Bound by its
    name, it covers with the host's file.)"""
    name, top = tree
    (top / "dev").mkdir(exist_ok=True)
    (top / "dev/null").symlink_to(canary / "null")
    by_name = 'mount --bind "$0" /proc/kallsyms && cat /proc/kallsyms'
    command = ["unshare", "--mount", "sh", "-c", by_name, str(top / "dev/null")]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"host\n"
    module("jail_state", name=[name], state="started")
    assert inside(name, "stat", "-c", "%t %T", "/proc/kallsyms", "/dev/null") == "1 3\n1 3\n"


def test_removing_follows_no_link(tree: tuple[str, Path], canary: Path) -> None:
    """A tree full of links to the host is removed, and they with it, and nothing that they lead to."""
    name, top = tree
    for number, target in enumerate((canary, "/", "..", "../../../../../..", layout.LIB)):
        (top / f"link{number}").symlink_to(str(target))
    deep = top / "deep"
    for _level in range(30):
        deep.mkdir()
        deep /= "d"
    (deep.parent / "out").symlink_to(canary)
    templates = evidence.files(layout.TEMPLATES)
    module("jail_state", name=[name], state="absent")
    assert not os.path.exists(layout.storage(name))
    assert evidence.files(layout.TEMPLATES) == templates


@pytest.mark.row(10)
def test_programs_named_like_the_hosts_do_not_run_on_it(box: str, canary: Path) -> None:
    """No program of the tree runs outside: the libraries and commands that entering might look up by name are the
    host's own, though the tree has others at the same places."""
    script = (
        "for p in /bin/nft /sbin/ip /usr/bin/python3 /usr/local/sbin/jail /lib/x86_64-linux-gnu/libc.so.6; do"
        " mkdir -p ${p%/*}; printf '#!/bin/sh\\ncat /proc/self/status > /root/ran\\n' > $p; chmod 755 $p; done"
    )
    inside(box, "sh", "-c", script)
    module(
        "jail_net",
        name=box,
        interfaces=[{"name": "e0", "bridge": "br-h", "addresses": ["10.86.0.2/24"], "masquerade": True}],
    )
    module("jail_state", name=[box], hostname="x")
    module("jail_info")
    assert inside(box, "ls", "/root") == ""


@pytest.mark.row(21)
def test_bookkeeping_is_out_of_reach(box: str) -> None:
    """The host's records of jails are for root only, and lie outside every tree."""
    for path in (layout.desired(box), layout.storage(box), layout.running(box), layout.TEMPLATES):
        assert (
            stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0
            or stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) & 0o077 == 0
        ), path
    assert pid_of(box)


@pytest.mark.row(27)
def test_a_device_node_in_the_tree_cannot_be_opened(tree: tuple[str, Path]) -> None:
    """A node of the null device that somebody planted in the tree is refused; on the host it opens."""
    name, top = tree
    os.mknod(top / "planted", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (top / "planted").chmod(0o666)
    os.close(os.open(top / "planted", os.O_RDWR))
    for userns in ("auto", "host"):
        module("jail_state", name=[name], userns=userns, state="restarted")
        done = jail("exec", name, "--", "sh", "-c", ": < /planted")
        assert done.returncode != 0
        assert b"Permission denied" in done.stderr


def test_configuration_in_a_tree_is_nobodys(tree: tuple[str, Path]) -> None:
    """What looks like our own records in a tree says nothing to the host. (At their true place they count.)"""
    name, top = tree
    module("jail_state", name=[name], state="started")
    known = _told(name)
    for place in (f"etc/jails/{name}", "etc/jails/other", f"run/jails/{name}", f"var/lib/jails/jails/{name}", "."):
        (top / place).mkdir(parents=True, exist_ok=True)
        for record in ("state.json", "rootfs.json", "storage.json", "live.json", "template.json"):
            (top / place / record).write_text('{"command": ["/bin/evil"]}', encoding="utf-8")
    assert _told(name) == known
    assert not module("jail_state", name=[name], command=["sleep", "1000"], state="started")["changed"]
    shutil.copytree(top / "etc/jails/other", layout.desired(f"{name}x"))
    try:
        assert f"{name}x" in module("jail_info", gather=[])["jails"]
    finally:
        shutil.rmtree(layout.desired(f"{name}x"))


def _told(name: str) -> dict[str, object]:
    """What the host says of its jails, but for how long they have run, and without those that another run of tests
    makes and removes beside us: they bear the number of its process, as ours do."""
    jails = module("jail_info", gather=["state", "rootfs"])["jails"]
    return {each: {**facts, "uptime": None} for each, facts in jails.items() if each in (name, "other", "jails")}


def test_marks_of_overlayfs_lead_nowhere(name: str, tmp_path: Path) -> None:
    """The extended attributes by which overlayfs finds a directory elsewhere lead to nothing, set on what a jail has
    written or on its template. (An overlay that follows them shows another directory.)"""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"], trust_group="marks")
    stored = storage.describe(name)
    assert stored is not None
    assert stored.writable is not None
    assert stored.lower is not None
    for layer in (stored.writable, stored.lower):
        for number, target in enumerate((b"/etc", b"/../../../../../../etc", b"etc", b"../../..")):
            folder = Path(layer) / f"marked{number}"
            folder.mkdir()
            os.setxattr(folder, "user.overlay.redirect", target)
            os.setxattr(folder, "user.overlay.opaque", b"x")
    module("jail_state", name=[name], command=["sleep", "1000"], state="started")
    for number in range(4):
        assert jail("exec", name, "--", "ls", f"/marked{number}").stdout == b""
    assert _followed(tmp_path) == ["file"]


def _followed(place: Path) -> list[str]:
    """What an overlay of the host that follows such marks shows in a directory that has nothing."""
    for folder in ("lower/secret", "upper/marked", "work", "root"):
        (place / folder).mkdir(parents=True)
    (place / "lower/secret/file").touch()
    os.setxattr(place / "upper/marked", "trusted.overlay.redirect", b"/secret")
    options = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work,redirect_dir=on"
    subprocess.run(["mount", "-t", "overlay", "none", "-o", options, place / "root"], check=True)
    try:
        return os.listdir(place / "root/marked")
    finally:
        subprocess.run(["umount", place / "root"], check=True)
