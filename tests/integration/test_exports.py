# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jail as a file, and a jail made of one: the same tree, on this host and on another."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout, runtime
from ansible_collections.cellblock.jails.plugins.module_utils.jail import converge, imports, state
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.exports import exportfile
from ansible_collections.cellblock.jails.tests.integration.support import evidence, likeness, richtree, sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    attempt,
    inside,
    jail,
    module,
    refused,
    shell,
)
from ansible_collections.cellblock.jails.tests.integration.support.layer import own_files, stored, writable

COMPRESSIONS = {"none": b"jail.json", "gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


def make(name: str, kind: str = "overlay") -> None:
    """A jail of busybox that does not run."""
    size: dict[str, Any] = {"size": "64M"} if kind == "image" else {}
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"], storage=kind, **size)
    module("jail_state", name=[name], command=["sleep", "100000"])


@pytest.fixture
def rich(name: str, storage_kind: str) -> Iterator[str]:
    """A jail that does not run, with one of everything in its tree, and some of it taken away from its template; and
    the name of an import of it, which is removed as well."""
    make(name, storage_kind)
    module("jail_state", name=[name], state="started")
    shell(name, "rm /etc/nsswitch.conf; rm -rf /srv; mkdir /srv; echo x >> /etc/hosts; mv /usr/share /usr/other")
    module("jail_state", name=[name], state="stopped")
    with own_files(stored(name)) as top:
        richtree.furnish(top)
        for covered in ("dev", "proc", "sys", "run"):
            (top / covered).mkdir(exist_ok=True)
            (top / covered / "beneath").write_text("a mount")
    yield name
    attempt("jail_state", name=[f"{name}-i"], state="absent")


@pytest.fixture
def box(name: str) -> Iterator[str]:
    """A jail that does not run; and the name of an import of it, which is removed as well."""
    make(name)
    yield name
    attempt("jail_state", name=[f"{name}-i"], state="absent")


def described(name: str) -> dict[str, dict[str, Any]]:
    """A jail's tree."""
    with likeness.seen(stored(name)) as top:
        return likeness.described(top)


def assert_same(one: dict[str, dict[str, Any]], other: dict[str, dict[str, Any]]) -> None:
    """Two trees are the same, or else it is told in what they differ."""
    differences = {
        path: (one.get(path), other.get(path)) for path in {*one, *other} if one.get(path) != other.get(path)
    }
    assert not differences


def test_there_and_back_it_is_the_same_tree(rich: str, tmp_path: Path) -> None:
    """Everything that a jail could tell two trees apart by is the same after an export and an import, in a jail with
    another range of ids; also what lies where a jail has mounts. Only the template's name is needed of its template."""
    before = described(rich)
    assert len(before) > 400
    result = module("jail_export", name=rich, dest=str(tmp_path / "jail.tar"))
    content = (tmp_path / "jail.tar").read_bytes()
    assert result["jails"][rich]["checksum"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert result["jails"][rich]["size"] == len(content)
    assert stat.S_IMODE(os.stat(tmp_path / "jail.tar").st_mode) == 0o600
    module("jail_import", name=f"{rich}-i", src=str(tmp_path / "jail.tar"))
    assert_same(before, described(f"{rich}-i"))
    assert_same(before, described(rich))
    module("jail_state", name=[rich, f"{rich}-i"], command=["sleep", "100000"], state="started")
    jails = module("jail_info", name=[rich, f"{rich}-i"])["jails"]
    assert jails[rich]["first_id"] != jails[f"{rich}-i"]["first_id"]
    look = "stat -c '%n %F %a %u %g %h %Y' /rich/owners/* /rich/owners/*/* /rich/links/*; ls /srv /usr/other"
    assert shell(rich, look) == shell(f"{rich}-i", look)


def test_capabilities_of_files_work_in_the_import(box: str, tmp_path: Path) -> None:
    """A program with a capability has it when a user of the jail runs it, before and after; a copy of it without has
    none."""
    busybox = (Path(stored(box).lower or "") / "usr/bin/busybox").read_bytes()
    (writable(box) / "usr/bin").mkdir(parents=True, exist_ok=True)
    for program in ("busybox-with", "busybox-without"):
        path = writable(box) / "usr/bin" / program
        path.write_bytes(busybox)
        path.chmod(0o755)
    os.setxattr(writable(box) / "usr/bin/busybox-with", "security.capability", richtree.capability())
    module("jail_export", name=box, dest=str(tmp_path / "jail.tar"))
    module("jail_import", name=f"{box}-i", src=str(tmp_path / "jail.tar"))
    for each in (box, f"{box}-i"):
        module("jail_state", name=[each], command=["sleep", "100000"], state="started")
        for program, effective in (("busybox-with", "0000000000000400"), ("busybox-without", "0000000000000000")):
            look = jail("exec", "-u", "1000", each, "--", f"/usr/bin/{program}", "grep", "CapEff", "/proc/self/status")
            assert look.stdout.split() == [b"CapEff:", effective.encode()], (each, program, look)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_other_programs_can_read_it(box: str, tmp_path: Path, compression: str) -> None:
    """It is a tar archive, compressed or not, for tar(1) and for Python; the last block holds the checksum."""
    (writable(box) / "root").mkdir(exist_ok=True)
    (writable(box) / "root/mine").write_bytes(b"content")
    path = tmp_path / "jail.tar"
    module("jail_export", name=box, dest=str(path), compression=compression)
    assert path.read_bytes().startswith(COMPRESSIONS[compression])
    command = {"none": ["cat"], "gzip": ["gzip", "-dc"], "zstd": ["zstd", "-dcq"]}[compression]
    plain = subprocess.run(command, input=path.read_bytes(), check=True, capture_output=True).stdout
    assert plain[-512:] == exportfile.trailer(hashlib.sha256(plain[:-512]).hexdigest())
    (tmp_path / "plain.tar").write_bytes(plain)
    listed = subprocess.run(["tar", "-tf", str(tmp_path / "plain.tar")], check=True, capture_output=True, text=True)
    assert listed.stderr == ""
    assert listed.stdout.splitlines()[:2] == ["jail.json", "root/"]
    assert "root/root/mine" in listed.stdout.splitlines()
    with tarfile.open(tmp_path / "plain.tar") as archive:
        content = archive.extractfile("root/root/mine")
        manifest = archive.extractfile("jail.json")
        assert content
        assert manifest
        assert content.read() == b"content"
        said = json.load(manifest)
    assert said["name"] == box
    assert said["format"] == exportfile.FORMAT
    assert said["desired"]["state"]["command"] == ["sleep", "100000"]
    module("jail_import", name=f"{box}-i", src=str(path))
    assert_same(described(box), described(f"{box}-i"))


def test_an_export_of_a_snapshot_while_the_jail_runs(box: str, tmp_path: Path) -> None:
    """It holds what the snapshot holds, desired state and all; without one a jail that runs is refused."""
    (writable(box) / "root").mkdir(exist_ok=True)
    (writable(box) / "root/file").write_text("then")
    module("jail_limits", name=box, memory_max="64M")
    module("jail_snapshot", name=box, snapshot="one")
    module("jail_limits", name=box, memory_max="128M")
    module("jail_state", name=[box], state="started")
    shell(box, "echo now > /root/file")
    for check in (True, False):
        message = refused("jail_export", check=check, name=box, dest=str(tmp_path / "no.tar"))
        assert "the jail runs" in message
        message = refused("jail_export", check=check, name=box, dest=str(tmp_path / "no.tar"), snapshot="two")
        assert "it has no snapshot two; it has: one" in message
    assert not os.listdir(tmp_path)
    module("jail_export", name=box, dest=str(tmp_path / "jail.tar"), snapshot="one")
    result = module("jail_import", name=f"{box}-i", src=str(tmp_path / "jail.tar"), trusted=True)
    assert result["jails"][f"{box}-i"]["left_out"] == []
    assert (writable(f"{box}-i") / "root/file").read_text() == "then"
    assert module("jail_info", name=[f"{box}-i"])["jails"][f"{box}-i"]["limits"]["memory_max"] == "64M"


def test_exporting_writes_nothing_to_the_jail(rich: str, tmp_path: Path) -> None:
    """Its storage is as it was, to the times of last change, and so is all else but the file. (In an image the kernel
    notes that it was mounted.)"""
    module("jail_info")
    with own_files(stored(rich)) as top:
        tree = likeness.described(str(top))
    before = {place: likeness.described(place) for place in (layout.ETC, layout.LIB)}
    module("jail_export", name=rich, dest=str(tmp_path / "jail.tar"))
    assert likeness.described(layout.ETC) == before[layout.ETC]
    after = likeness.described(layout.LIB)
    assert after.pop(os.path.relpath(layout.IDS, layout.LIB))  # the confinement has ids of its own while it runs
    assert before[layout.LIB].pop(os.path.relpath(layout.IDS, layout.LIB))
    after[""]["changed"] = before[layout.LIB][""]["changed"]
    image = f"jails/{rich}/image"
    assert (before[layout.LIB].pop(image, None) is None) == (after.pop(image, None) is None)
    assert_same(before[layout.LIB], after)
    with own_files(stored(rich)) as top:
        assert_same(tree, likeness.described(str(top)))


def test_an_export_that_is_there_stays(box: str, tmp_path: Path) -> None:
    """Unless it is to be written anew. Check mode foretells, and touches nothing."""
    path = tmp_path / "jail.tar"
    wish: dict[str, Any] = {"name": box, "dest": str(path)}
    before = evidence.everything()
    foretold = module("jail_export", check=True, **wish)
    assert evidence.everything() == before
    assert not path.exists()
    done = module("jail_export", **wish)
    assert foretold["jails"][box]["actions"] == done["jails"][box]["actions"]
    assert foretold["diff"] == done["diff"]
    written = os.stat(path)
    assert not module("jail_export", **wish)["changed"]
    assert os.stat(path) == written
    assert module("jail_export", check=True, force=True, **wish)["changed"]
    assert os.stat(path).st_ino == written.st_ino
    assert module("jail_export", force=True, **wish)["changed"]
    assert os.stat(path).st_ino != written.st_ino
    assert os.listdir(tmp_path) == ["jail.tar"]


def test_what_cannot_be_written(box: str, tmp_path: Path) -> None:
    """Bad values and places are refused with their option, and leave nothing."""
    (tmp_path / "link").symlink_to(tmp_path / "canary")
    assert "dest" in refused("jail_export", name=box)
    assert "is a directory" in refused("jail_export", name=box, dest=str(tmp_path))
    assert "No such file" in refused("jail_export", name=box, dest=str(tmp_path / "no/jail.tar"))
    assert "cannot name a snapshot" in refused("jail_export", name=box, dest="/x", snapshot="../up")
    assert "has no root file system" in refused("jail_export", name=f"{box}-x", dest=str(tmp_path / "x.tar"))
    assert os.listdir(tmp_path) == ["link"]
    (tmp_path / "jail.tar.part").symlink_to(tmp_path / "canary")
    module("jail_export", name=box, dest=str(tmp_path / "jail.tar"))
    assert sorted(os.listdir(tmp_path)) == ["jail.tar", "link"]


def test_a_full_disk_leaves_no_export(box: str, tmp_path: Path) -> None:
    """The message says so, and half a file does not stay."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    try:
        for compression in ("none", "zstd"):
            (writable(box) / "blob").write_bytes(os.urandom(3 << 20))
            message = refused("jail_export", name=box, dest=str(tmp_path / "jail.tar"), compression=compression)
            assert "No space left on device" in message
            assert os.listdir(tmp_path) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_devices_and_sockets_are_left_out(box: str, tmp_path: Path) -> None:
    """No jail can open a device node, and no tar archive holds a socket: they are not there after an import; the log
    names the devices. Names that tar could take for options or patterns lead to no other file."""
    top = writable(box) / "odd"
    top.mkdir()
    for name in ("null", "*", "-rf", "new\nline"):
        (top / f"beside-{name}").write_text("kept")
        os.mknod(top / name, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    with socket.socket(socket.AF_UNIX) as unix, paths.opened(paths.open_directory(str(top))) as folder:
        unix.bind(f"/proc/self/fd/{folder}/socket")
    module("jail_export", name=box, dest=str(tmp_path / "jail.tar"))
    module("jail_import", name=f"{box}-i", src=str(tmp_path / "jail.tar"))
    kept = sorted(f"beside-{name}" for name in ("null", "*", "-rf", "new\nline"))
    assert sorted(os.listdir(writable(f"{box}-i") / "odd")) == kept
    with open(layout.BUILD_LOG, encoding="utf-8") as log:
        assert f"[{box}] I: left out, as no jail can open it: the device node b'root/odd/disk'\n" in log.read()


def test_by_hand(box: str) -> None:
    """``jail export`` and ``jail import`` by pipes: the same, and nothing on a terminal."""
    exported = jail("export", "--compress", "zstd", box)
    assert not exported.returncode, exported
    done = jail("import", f"{box}-i", given=exported.stdout)
    assert not done.returncode, done
    assert not done.stdout
    assert_same(described(box), described(f"{box}-i"))
    again = jail("import", f"{box}-i", given=exported.stdout)
    assert again.returncode
    assert b"it has a root file system already" in again.stderr
    for words in (["export", box], ["import", f"{box}-x"]):
        master, slave = os.openpty()
        with paths.opened(master), paths.opened(slave):
            shown = subprocess.run(
                [layout.COMMAND, *words], stdin=slave, stdout=slave, stderr=subprocess.PIPE, check=False, timeout=60
            )
        assert shown.returncode
        assert b"terminal" in shown.stderr or b"there is no export to read" in shown.stderr
    for words in (["export", "--compress", "rot13", box], ["import", "--storage", "x", f"{box}-x"]):
        assert jail(*words, given=exported.stdout).returncode


def test_a_reader_that_goes_away(box: str) -> None:
    """``jail export | head`` ends with an error, and leaves nothing behind."""
    (writable(box) / "blob").write_bytes(os.urandom(8 << 20))
    for options in ([], ["--compress", "gzip"]):
        with subprocess.Popen(
            [layout.COMMAND, "export", *options, box], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.read(10)
            process.stdout.close()
            assert process.wait(60)
            assert b"Broken pipe" in process.stderr.read()
    assert sandbox.mount_points() == []
    assert not module("jail_export", name=box, dest="/dev/null")["changed"]


@contextlib.contextmanager
def another_host() -> Iterator[None]:
    """An empty host for a ``with`` block: no templates, no jails, no ids taken."""
    with sandbox.entered():
        yield


def test_on_another_host(rich: str, tmp_path: Path) -> None:
    """Where there is neither the template nor the jail, and ids are others, the import is the same tree and runs. A
    limit of its size that cannot hold there is refused with what to do."""
    before = described(rich)
    limited = stored(rich).kind == "image"
    template = stored(rich).template
    module("jail_export", name=rich, dest=str(tmp_path / "jail.tar"), compression="zstd")
    content = (tmp_path / "jail.tar").read_bytes()
    with another_host():
        os.makedirs(layout.LIB, exist_ok=True)
        Path(layout.IDS).write_text(json.dumps({"somebody": 0, "else": 1}))
        moved = tmp_path / "moved.tar"
        moved.write_bytes(content)
        wish = {"name": rich, "src": str(moved), "trusted": True}
        if limited:
            error = converge.converge(imports.FACET, [wish], check=False)[rich].error or ""
            assert error.startswith("size: ")
            assert "do not trust the export" in error
            assert not os.path.exists(layout.storage(rich))
            wish["trusted"] = False
        outcome = converge.converge(imports.FACET, [wish], check=False)[rich]
        assert outcome.error is None
        assert stored(rich).template == template
        assert not os.path.exists(stored(rich).lower or layout.template(template))
        assert_same(before, described(rich))
        runtime.install()
        outcome = converge.converge(state.FACET, [{"name": rich, "state": "started"}], check=False)[rich]
        assert outcome.error is None
        assert inside(rich, "cat", "/rich/links/inner/two") == "one file, three names"
        converge.converge(state.FACET, [{"name": rich, "state": "absent"}], check=False)
