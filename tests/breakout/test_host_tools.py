# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host's tools read of a jail that runs: names that its root chooses, and where it has moved things."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.tests.breakout.support import cells
from ansible_collections.cellblock.jails.tests.breakout.support.programs import Programs
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    inside,
    jail,
    module,
    pid_of,
    refused,
    shell,
)

_LINE_ENDS = "\r"
"""The kernel escapes a newline in names, and nothing else."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of the host that only root comes to, with a file in it."""
    place = Path(tempfile.mkdtemp(prefix="jails-given-", dir="/var/tmp"))
    (place / "given").mkdir()
    (place / "given/file").write_text("host\n", encoding="ascii")
    yield place / "given"
    shutil.rmtree(place)


def _given(folder: Path, **more: Any) -> dict[str, Any]:
    return {"source": str(folder), "target": "/vol/in", **more}


def _is_plain(text: str) -> bool:
    return all(character.isprintable() or character in "\t\n" for character in text)


@pytest.mark.row(59)
@pytest.mark.parametrize("forged", ["SigCgt: zz", "SigCgt: 0", "SigCgt: fffff"])
def test_a_process_called_like_a_line_of_its_status(name: str, compiled: Programs, forged: str) -> None:
    """The first process of a jail, which has no handler, is stopped at once, whatever it is called. (The name is there
    for who reads the file by lines as terminals know them.)"""
    command = [compiled.attack, "be_called", f"{_LINE_ENDS}{forged}"]
    cells.made(name, compiled, command=command, stop_timeout=60)
    text = Path(f"/proc/{pid_of(name)}/status").read_bytes().decode()
    assert forged in text.splitlines()
    assert module("jail_info", name=[name], gather=["isolation"])["jails"][name]["isolation"]["drift"] == []
    assert jail("stop", name).returncode == 0
    assert live.find(name) is None


@pytest.mark.row(59)
@pytest.mark.parametrize(
    "new", [b"/v\rx", b"/v\x1b]0;x\x07", b"/v\xff\xfe", b"/v - \t\\040", b"/v\xe2\x80\xa8\xc2\x85"]
)
def test_a_mount_below_a_directory_with_such_a_name(name: str, compiled: Programs, folder: Path, new: bytes) -> None:
    """Whoever looks at the jail, or changes it, is told in plain characters that the mount is not where it was. (The
    host's table has the name as the jail's root chose it.)"""
    cells.made(name, compiled, mounts=[_given(folder)])
    inside(name, "mv", "/vol", os.fsdecode(new))
    raw = Path(f"/proc/{pid_of(name)}/mountinfo").read_bytes()
    assert new in raw.replace(b"\\040", b" ").replace(b"\\011", b"\t").replace(b"\\134", b"\\")
    found = module("jail_info", name=[name], gather=["state", "isolation"])["jails"][name]
    assert f"mounts.{os.fsdecode(new)}/in" in found["isolation"]["drift"]
    audited = jail("audit", name)
    assert (audited.returncode, audited.stderr) == (1, b"")
    assert _is_plain(audited.stdout.decode())
    assert _is_plain(refused("jail_state", name=[name], mounts=[]))
    listed = jail("ls")
    assert (listed.returncode, listed.stderr) == (0, b"")


@pytest.mark.row(59)
def test_a_file_with_such_a_name(name: str, compiled: Programs) -> None:
    """A descriptor of the first process on it changes nothing in what is attested."""
    script = 'f=$(printf \'/\\377\\r\\033[2J mnt_id: 1\'); exec 7>"$f"; rm "$f"; exec sleep 100000'
    cells.made(name, compiled, command=["sh", "-c", script])
    assert b"\xff\r\x1b[2J" in os.readlink(f"/proc/{pid_of(name)}/fd/7".encode())
    assert jail("audit", name).returncode == 0


@pytest.mark.row(60)
@pytest.mark.parametrize(
    "wish", [None, {"read_only": True}, {"target": "/vol/other"}], ids=["taken away", "read-only", "elsewhere"]
)
def test_a_mount_that_is_to_be_given_back(
    name: str, compiled: Programs, folder: Path, wish: dict[str, Any] | None
) -> None:
    """A jail's root moves the directory above a mount. What is to be taken away, or to be read-only, is not said to be
    so while it still has it; after a restart it is. (Nothing keeps it from moving it.)"""
    cells.made(name, compiled, mounts=[_given(folder, read_only=False)])
    shell(name, "mv /vol /mine; echo changed > /mine/in/file")
    wanted = [_given(folder, **wish)] if wish else []
    for check in (True, False):
        if check:
            assert module("jail_state", check=True, name=[name], mounts=wanted)["changed"]
        else:
            assert "/mine/in" in refused("jail_state", name=[name], mounts=wanted)
    assert (folder / "file").read_text(encoding="ascii") == "changed\n"
    module("jail_state", name=[name], state="restarted")
    assert not module("jail_state", name=[name], mounts=wanted)["changed"]
    jail("exec", name, "--", "sh", "-c", "echo x > /mine/in/file; echo x > /vol/in/file")
    assert (folder / "file").read_text(encoding="ascii") == "changed\n"


@pytest.mark.row(60)
def test_a_mount_that_is_to_be_given_back_by_a_jail_that_mounts(name: str, compiled: Programs, folder: Path) -> None:
    """What it has mounted over the place, or moved away, does not pass for a mount that is gone."""
    cells.made(name, compiled, mounts=[_given(folder)], allow_mount=True)
    shell(name, "mv /vol /mine; mkdir -p /vol/in; mount -t tmpfs none /vol/in")
    assert not module("jail_state", name=[name], mounts=[_given(folder)])["changed"]
    assert "restart the jail" in refused("jail_state", name=[name], mounts=[])
    assert inside(name, "cat", "/mine/in/file") == "host\n"
    module("jail_state", name=[name], state="restarted")
    assert jail("exec", name, "--", "cat", "/mine/in/file").returncode != 0
