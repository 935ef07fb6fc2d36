# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives whose links, symbolic or hard, lead to files of the host, and whose later members go through them."""

from __future__ import annotations

from ansible_collections.cellblock.jails.tests.integration.support.archives import Archive
from ansible_collections.cellblock.jails.tests.integration.support.hostile import (
    Canary,
    Case,
    Effect,
    parametrized,
    run,
)

_CANNOT = "path: the archive cannot be unpacked: tar ended with status 2: "


def _hit(name: str = "file") -> Effect:
    return lambda _naive, canary: canary.hit(name)


def _failed(error: str) -> Effect:
    """The extractor met this error and went on, with part of the archive in place."""
    return lambda naive, _canary: any(line.startswith(error) for line in naive.errors)


def _through_directory(archive: Archive, canary: Canary) -> None:
    archive.symlink("evil", canary.place)
    archive.file("evil/file")


def _through_relative(archive: Archive, canary: Canary) -> None:
    archive.symlink("usr/evil", canary.up("").rstrip("/"))
    archive.file("usr/evil/file")


def _through_chain(archive: Archive, canary: Canary) -> None:
    archive.symlink("one", "usr/two")
    archive.symlink("usr/two", "../var/three")
    archive.symlink("var/three", canary.place)
    archive.file("one/file")


def _through_proc(archive: Archive, canary: Canary) -> None:
    archive.symlink("evil", "/proc/self/root")
    archive.file(f"evil{canary / 'file'}")


def _through_link_to_file(archive: Archive, canary: Canary) -> None:
    archive.symlink("etc/motd", canary / "file")
    archive.file("etc/motd")


def _through_hard_link(archive: Archive, canary: Canary) -> None:
    archive.symlink("etc/one", canary / "file")
    archive.link("etc/two", "etc/one")
    archive.file("etc/two")


def _through_replaced_directory(archive: Archive, canary: Canary) -> None:
    archive.directory("srv")
    archive.symlink("srv", canary.place)
    archive.file("srv/file")


def _through_leading_folder(archive: Archive, canary: Canary) -> None:
    archive.symlink("usr/local", canary.place)
    archive.directory("usr/local/ssh", 0o777)
    archive.file("usr/local/ssh/ssh_host_rsa_key")


def _hard_link_and_write(archive: Archive, canary: Canary) -> None:
    archive.link("etc/motd", canary / "file")
    archive.file("etc/motd")


def _hard_link_loop(archive: Archive, _canary: Canary) -> None:
    archive.link("etc/one", "etc/two")
    archive.link("etc/two", "etc/one")


def _hard_link_of_directory(archive: Archive, _canary: Canary) -> None:
    archive.link("usr2", "usr")


def _loop(archive: Archive, _canary: Canary) -> None:
    archive.symlink("var/one", "two")
    archive.symlink("var/two", "one")
    archive.file("var/one/file")


def _pax_target(archive: Archive, canary: Canary) -> None:
    archive.add("etc/motd", b"1", pax={"linkpath": str(canary / "file")}, linkname="etc/passwd")


def _long_target(archive: Archive, _canary: Canary) -> None:
    archive.symlink("etc/long", "a/" * 4000)


CASES = (
    Case("directory-then-file", _through_directory, _hit(), _CANNOT),
    Case("relative-then-file", _through_relative, _hit(), _CANNOT),
    Case("chain-then-file", _through_chain, _hit(), _CANNOT),
    Case("proc-then-file", _through_proc, _hit(), _CANNOT),
    Case("file-then-file", _through_link_to_file, _hit()),
    Case("hard-link-to-symlink-then-file", _through_hard_link, _hit()),
    Case("directory-replaced-by-link", _through_replaced_directory, _hit(), _CANNOT),
    Case("link-then-directory", _through_leading_folder, _hit("ssh/ssh_host_rsa_key"), _CANNOT),
    Case("hard-link", lambda archive, canary: archive.link("etc/motd", canary / "file"), _hit(), _CANNOT),
    Case("hard-link-climbing", lambda archive, canary: archive.link("etc/motd", canary.up()), _hit(), _CANNOT),
    Case("hard-link-then-file", _hard_link_and_write, _hit(), _CANNOT),
    Case("hard-link-pax", _pax_target, _hit(), _CANNOT),
    Case("hard-link-loop", _hard_link_loop, _failed("FileNotFoundError"), _CANNOT),
    Case("hard-link-of-directory", _hard_link_of_directory, _failed("PermissionError"), _CANNOT),
    Case("hard-link-to-itself", lambda archive, _canary: archive.link("etc/motd", "etc/motd"),
         _failed("FileNotFoundError"), _CANNOT),
    Case("symlink-loop-then-file", _loop, _failed("FileExistsError"), _CANNOT),
    Case("symlink-too-long", _long_target, _failed("OSError"), _CANNOT),
)  # fmt: skip


@parametrized(CASES)
def test_links(case: Case, name: str) -> None:
    """See :mod:`..support.hostile`."""
    run(case, name)
