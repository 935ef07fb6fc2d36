# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays a jail's own: fixed lists, and lists of package managers from trees that nobody trusts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.sharing import keep


def test_configuration_and_data_are_kept(tmp_path: Path) -> None:
    """All below the folders of the list, themselves included, and nothing else."""
    found = keep.of([str(tmp_path)])
    for path in ("etc", "etc/passwd", "var/lib/mysql/base", "home/one/x", "usr/local/etc/x", "root", "srv/www/a/b"):
        assert found.covers(path), path
    for path in ("usr/bin/env", "etcetera", "usr/etcetera/x", "opt/x", "lib/x", "usr/local/bin/etc", ""):
        assert not found.covers(path), path


def test_lists_of_dpkg() -> None:
    """Paths with their flags (deb-conffiles(5)); what lies in a directory that may be a link to usr has both names."""
    text = "/etc/one\nremove-on-upgrade /usr/share/two\n\n/lib/three\nno path\n//usr//share/../share/four\n"
    assert list(keep.conffiles(text)) == ["etc/one", "usr/share/two", "lib/three", "usr/lib/three", "usr/share/four"]


def test_status_of_dpkg() -> None:
    """Only the lines of the field, with the sum and a flag taken off."""
    text = (
        "Package: one\nConffiles:\n /usr/share/a 0123\n /usr/share/b c 0123 obsolete\n"
        "Description: x\n /usr/share/no no\n\nPackage: two\nconffiles:\n /lib/d 0123\n"
    )
    found = set(keep.conffiles_of_status(text))
    assert {"usr/share/a", "usr/share/b c", "usr/lib/d"} <= found
    assert not any("no" in path for path in found)


def test_protected_paths_of_apk() -> None:
    """Each sign that protects; a pattern counts as the folder it begins in."""
    text = "# a comment\n+etc/\n@etc/init.d\n!usr/share/apk\n-usr/share/apk/free\n+usr/lib/*/conf.d\n+opt/[ab]/c\n"
    assert list(keep.protected(text)) == ["etc", "etc/init.d", "usr/share/apk", "usr/lib", "opt"]


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    """Whatever a jail writes: paths come out, relative and without steps upward."""
    for parse in (keep.conffiles, keep.conffiles_of_status, keep.protected):
        for path in parse(text):
            assert not path.startswith("/")
            assert ".." not in path.split("/")


def test_lists_are_read_in_the_tree(tmp_path: Path) -> None:
    """Links inside the tree are followed in it and never out of it; a FIFO or a directory in the place of a list is as
    none."""
    tree, host = tmp_path / "tree", tmp_path / "host"
    info = tree / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    host.mkdir()
    (host / "list").write_text("/usr/share/host\n", encoding="ascii")
    (tree / "list").write_text("/usr/share/linked\n", encoding="ascii")
    (info / "plain.conffiles").write_text("/usr/share/plain\n", encoding="ascii")
    (info / "linked.conffiles").symlink_to("/list")
    (info / "out.conffiles").symlink_to(host / "list")
    (info / "climbing.conffiles").symlink_to("../../../../../host/list")
    (info / "plain.list").write_text("/usr/share/other\n", encoding="ascii")
    (info / "folder.conffiles").mkdir()
    os.mkfifo(info / "fifo.conffiles")
    os.mkfifo(tree / "var/lib/dpkg/status")
    (tree / "etc/apk").mkdir(parents=True)
    (tree / "etc/apk/protected_paths.d").symlink_to(host)
    found = keep.of([str(tree)])
    assert found.files == {"usr/share/plain", "usr/share/linked"}
    assert found.folders == set(keep.FOLDERS)


def test_lists_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes, in paths, and in files."""
    info = tmp_path / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    with open(info / "holes.conffiles", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(JailError, match="more than 32 MiB"):
        keep.of([str(tmp_path)])
    (info / "holes.conffiles").write_text("".join(f"/x/{number}\n" for number in range(50)), encoding="ascii")
    monkeypatch.setattr(keep, "_MOST_PATHS", 40)
    with pytest.raises(JailError, match="more than 40 configuration files"):
        keep.of([str(tmp_path)])
    monkeypatch.setattr(keep, "_MOST_LISTS", 3)
    for number in range(4):
        (info / f"{number}.list").touch()
    with pytest.raises(JailError, match="more than 3 files"):
        keep.of([str(tmp_path)])


def test_lists_only_add(tmp_path: Path) -> None:
    """A jail that says that everything is configuration shares nothing, and one that takes things out changes
    nothing."""
    place = tmp_path / "etc/apk/protected_paths.d"
    place.mkdir(parents=True)
    (place / "x.list").write_text("-etc\n-var\n", encoding="ascii")
    assert keep.of([str(tmp_path)]).covers("etc/x")
    (place / "x.list").write_text("+*\n", encoding="ascii")
    assert keep.of([str(tmp_path)]).covers("usr/bin/env")
