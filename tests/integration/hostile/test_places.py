# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that have links, devices or files of their own where the host or the launcher looks into a tree."""

from __future__ import annotations

import contextlib
import glob
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Callable

from ansible_collections.cellblock.jails.tests.integration.support.archives import Archive, Naive
from ansible_collections.cellblock.jails.tests.integration.support.calls import jail, shell
from ansible_collections.cellblock.jails.tests.integration.support.hostile import (
    Canary,
    Case,
    Effect,
    Fill,
    parametrized,
    run,
)


def _link(name: str, target: str = "") -> Fill:
    """A link in the tree to the canary, or to a file of it."""
    return lambda archive, canary: archive.symlink(name, canary / target)


def _written(name: str, canary_name: str) -> Effect:
    """Who writes by the name writes into the canary."""

    def effect(naive: Naive, canary: Canary) -> bool:
        (naive.root / name).write_text("of the jail\n")
        return canary.hit(canary_name)

    return effect


def _removed(name: str, canary_name: str) -> Effect:
    """Who removes by the name, wildcards included, removes from the canary."""

    def effect(naive: Naive, canary: Canary) -> bool:
        for path in glob.glob(f"{naive.root}/{name}"):
            os.unlink(path)
        return canary.hit(canary_name)

    return effect


def _leads_to(name: str) -> Effect:
    """Who mounts by the name covers the canary."""
    return lambda naive, canary: os.path.realpath(naive.root / name).startswith(str(canary.place))


def _plain(*names: str) -> Callable[[str, Path], None]:
    """These are plain directories in the template, and mounts in the jail."""

    def look(name: str, tree: Path) -> None:
        for place in names:
            assert not os.path.islink(tree / place)
            assert os.listdir(tree / place) == []
            assert shell(name, f"test -d /{place} && grep -c ' /{place} ' /proc/mounts || cat /proc/mounts") != ""

    return look


def _null_is_null(name: str, _tree: Path) -> None:
    assert shell(name, "stat -c '%t %T' /dev/null") == "1 3\n"


def _files_for_mounts(archive: Archive, _canary: Canary) -> None:
    archive.file("dev")
    archive.fifo("proc")
    archive.file("sys")
    archive.device("run", tarfile.CHRTYPE, 1, 3)


def _below_proc(archive: Archive, canary: Canary) -> None:
    archive.symlink("proc", canary.place)
    archive.file("proc/file")


def _etc_is_a_link(archive: Archive, canary: Canary) -> None:
    archive.symlink("etc", canary.place)
    archive.file("etc/passwd")


def _etc_becomes_a_link(archive: Archive, canary: Canary) -> None:
    archive.directory("srv")
    archive.file("etc/motd")
    archive.symlink("etc", canary.place)
    archive.file("etc/passwd")


def _etc_is_only_a_link(archive: Archive, canary: Canary) -> None:
    archive.symlink("etc", canary.place)
    archive.directory("usr")


def _etc_becomes_a_file(archive: Archive, _canary: Canary) -> None:
    archive.file("etc")


def _var_is_a_link(archive: Archive, canary: Canary) -> None:
    archive.symlink("var", canary.place)


def _full_machine_id(archive: Archive, _canary: Canary) -> None:
    archive.file("etc/machine-id/full/file")


def _directories_for_files(archive: Archive, _canary: Canary) -> None:
    archive.file("etc/hostname/full/file")
    archive.file("etc/resolv.conf/full/file")


def _preloaded(archive: Archive, _canary: Canary) -> None:
    """What a dynamic loader reads before any program of ours begins, at every place where it looks."""
    archive.file("etc/ld.so.preload", b"/lib/evil.so\n")
    archive.file("lib/evil.so", b"\x7fELF evil")
    for name in ("lib/ld-linux-x86-64.so.2", "lib64/ld-linux-x86-64.so.2", "lib/libc.so.6", "usr/lib/libc.so.6"):
        archive.file(name, b"#!/bin/sh\necho evil\n", 0o755)


def _loader_complains(naive: Naive, _canary: Canary) -> bool:
    """A program of the host that runs in the tree obeys it."""
    box = naive.root / "box"
    (box / "etc").mkdir(parents=True)
    for name in ("/bin/true", *_libraries("/bin/true")):
        target = box / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(name).read_bytes())
        target.chmod(0o755)
    (box / "etc/ld.so.preload").write_bytes((naive.root / "etc/ld.so.preload").read_bytes())
    done = subprocess.run(["chroot", box, "/bin/true"], check=False, capture_output=True)
    return b"evil.so" in done.stderr


def _libraries(program: str) -> list[str]:
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return [word for word in listed.split() if word.startswith("/")]


def _our_tools(archive: Archive, _canary: Canary) -> None:
    for name in ("tar", "tar.loader", "lib/libc.so.6"):
        archive.file(f"run/cellblock-tools/{name}", b"#!/bin/sh\necho evil\n", 0o755)


def _our_tools_by_link(archive: Archive, canary: Canary) -> None:
    archive.symlink("run", canary.place)
    archive.file("run/cellblock-tools/tar", b"#!/bin/sh\necho evil\n", 0o755)


def _host_programs(archive: Archive, _canary: Canary) -> None:
    for name in ("usr/bin/du", "usr/bin/tar", "sbin/ip", "usr/sbin/nft", "usr/bin/python3"):
        archive.file(name, b"#!/bin/sh\necho evil > /ran\n", 0o755)


def _ran_by_name(naive: Naive, _canary: Canary) -> bool:
    """Who looks a program up in the tree runs the tree's."""
    subprocess.run(["chroot", naive.root, "/usr/bin/tar"], check=False, capture_output=True)
    return (naive.root / "ran").exists()


def _did_not_run(name: str, tree: Path) -> None:
    assert not (tree / "ran").exists()
    assert jail("exec", name, "--", "/bin/test", "-e", "/ran").returncode == 1


def _leading_folder_is_a_link(archive: Archive, canary: Canary) -> None:
    archive.symlink("image", canary.place)
    archive.file("image/etc/passwd")
    archive.file("image/usr/file")


def _leading_folder_becomes_a_link(archive: Archive, canary: Canary) -> None:
    for name in ("etc", "usr"):
        archive.directory(f"image/{name}")
    archive.file("image/etc/passwd")
    archive.symlink("image", canary.place)


def _created(name: str) -> Effect:
    def effect(naive: Naive, canary: Canary) -> bool:
        with contextlib.suppress(OSError):
            (naive.root / name).write_text("hostile")
        return (canary.place / os.path.basename(name)).exists()

    return effect


CASES = (
    Case("dev-link", _link("dev"), _leads_to("dev"), look=_plain("dev")),
    Case("proc-link", _link("proc"), _leads_to("proc"), look=_plain("proc")),
    Case("sys-link", _link("sys"), _leads_to("sys"), look=_plain("sys")),
    Case("run-link", _link("run"), _leads_to("run"), look=_plain("run")),
    Case("mount-points-are-files", _files_for_mounts, lambda naive, _canary: not os.path.isdir(naive.root / "dev"),
         look=_plain("dev", "proc", "sys", "run")),
    Case("below-a-proc-that-is-a-link", _below_proc, lambda _naive, canary: canary.hit(), look=_plain("proc")),
    Case("null-link", _link("dev/null", "null"), _written("dev/null", "null"), look=_null_is_null),
    Case("hostname-link", _link("etc/hostname", "hostname"), _written("etc/hostname", "hostname")),
    Case("resolv.conf-link", _link("etc/resolv.conf", "resolv.conf"), _written("etc/resolv.conf", "resolv.conf")),
    Case("resolv.conf-link-climbing",
         lambda archive, canary: archive.symlink("etc/resolv.conf", canary.up("resolv.conf")),
         _written("etc/resolv.conf", "resolv.conf")),
    Case("machine-id-link", _link("etc/machine-id", "machine-id"), _written("etc/machine-id", "machine-id")),
    Case("host-keys-link", _link("etc/ssh", "ssh"), _removed("etc/ssh/ssh_host_*", "ssh/ssh_host_rsa_key")),
    Case("dbus-link", _link("var/lib", "lib"), _removed("var/lib/dbus/machine-id", "lib/dbus/machine-id")),
    Case("var-link", _var_is_a_link, _removed("var/lib/dbus/machine-id", "lib/dbus/machine-id"), first=True,
         refused="cannot be unpacked"),
    Case("tmp-link", _link("tmp/x", ""), _created("tmp/x/new")),
    Case("passwd-link", _link("etc/passwd", "passwd"), _written("etc/passwd", "passwd")),
    Case("status-link", _link("var/lib/dpkg/status", "status"), _written("var/lib/dpkg/status", "status")),
    Case("etc-link", _etc_is_a_link, lambda _naive, canary: canary.hit("passwd"), "cannot be unpacked", first=True),
    Case("etc-becomes-a-link", _etc_becomes_a_link, lambda naive, _canary: naive.errors, "cannot be unpacked"),
    Case("etc-is-only-a-link", _etc_is_only_a_link, _written("etc/passwd", "passwd"),
         "path: the archive holds no root file system: etc in it is no directory", alone=True),
    Case("etc-was-a-file", lambda archive, _canary: archive.file("etc"), lambda naive, _canary: naive.errors,
         first=True),
    Case("etc-becomes-a-file", _etc_becomes_a_file, lambda naive, _canary: naive.errors, "cannot be unpacked"),
    Case("machine-id-is-a-full-directory", _full_machine_id,
         lambda naive, _canary: os.path.isdir(naive.root / "etc/machine-id/full"), "Is a directory"),
    Case("files-are-full-directories", _directories_for_files,
         lambda naive, _canary: os.path.isdir(naive.root / "etc/hostname/full")),
    Case("preloaded-libraries", _preloaded, _loader_complains),
    Case("tools-of-ours", _our_tools, lambda naive, _canary: (naive.root / "run/cellblock-tools/tar").exists()),
    Case("tools-of-ours-by-link", _our_tools_by_link, _leads_to("run/cellblock-tools")),
    Case("programs-of-the-host", _host_programs, _ran_by_name, look=_did_not_run),
    Case("leading-folder-is-a-link", _leading_folder_is_a_link,
         lambda _naive, canary: (canary / "etc").exists(), "cannot be unpacked", alone=True),
    Case("leading-folder-becomes-a-link", _leading_folder_becomes_a_link, lambda naive, _canary: naive.errors,
         "cannot be unpacked", alone=True),
)  # fmt: skip


@parametrized(CASES)
def test_places(case: Case, name: str) -> None:
    """See :mod:`..support.hostile`."""
    run(case, name)
