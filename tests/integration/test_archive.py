# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails of archives, as the module makes them: what identifies an archive, what is read when, and what is foretold."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import templates
from ansible_collections.cellblock.jails.tests.integration.support import evidence, web
from ansible_collections.cellblock.jails.tests.integration.support.archives import Archive
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    attempt,
    inside,
    module,
    refused,
)

Names = Callable[[int], list[str]]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of a small root, another one for each test."""
    made = Archive()
    made.base()
    made.file("etc/motd", f"{tmp_path}\n".encode())
    path = tmp_path / "root.tar"
    path.write_bytes(made.finish())
    return path


def checksum(path: Path) -> str:
    """The checksum of a file."""
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def recorded(name: str) -> dict[str, Any]:
    """What is recorded of a root file system."""
    found: dict[str, Any] = json.loads(Path(layout.desired(name), "rootfs.json").read_text(encoding="utf-8"))
    return found


def test_a_jail_of_a_file(name: str, archive: Path) -> None:
    """It runs; what is remembered is the checksum, which was not given, and not where the file was."""
    result = module("jail_rootfs", name=name, method="archive", path=str(archive))
    assert ("checksum", None, checksum(archive), "create") in actions(result, name)
    module("jail_state", name=[name], command=["/bin/sleep", "1000"], state="started")
    assert inside(name, "/bin/cat", "/etc/motd") == f"{archive.parent}\n"
    assert recorded(name)["checksum"] == checksum(archive)
    assert not {"path", "url"} & set(recorded(name))


def test_the_file_is_read_once(name: str, archive: Path) -> None:
    """The same call again changes nothing, also when the file has changed or is gone; another checksum, or another
    method, is refused."""
    wish: dict[str, Any] = {"name": name, "method": "archive", "path": str(archive)}
    module("jail_rootfs", **wish)
    before = checksum(archive)
    archive.write_bytes(b"something else")
    assert not module("jail_rootfs", **wish)["changed"]
    assert not module("jail_rootfs", **wish, checksum=before)["changed"]
    archive.unlink()
    assert not module("jail_rootfs", **wish)["changed"]
    assert not module("jail_rootfs", name=name)["changed"]
    assert not module("jail_rootfs", name=name, url="http://127.0.0.1:9/x", method="archive")["changed"]
    message = refused("jail_rootfs", **wish, checksum=f"sha256:{'0' * 64}")
    assert f"checksum: its root file system was made with '{before}'" in message
    assert "binaries: means nothing to method archive" in refused("jail_rootfs", name=name, binaries=["busybox"])


def test_one_template_for_all_who_have_the_same(names: Names, archive: Path, tmp_path: Path) -> None:
    """By whatever way they came to it."""
    one, two, three = names(3)
    (tmp_path / "copy.tar").write_bytes(archive.read_bytes())
    with web.serving({"/root.tar": web.whole(archive.read_bytes())}) as server:
        jails = [
            {"name": one, "path": str(archive)},
            {
                "name": two,
                "path": str(tmp_path / "copy.tar"),
                "checksum": checksum(archive).upper(),
            },
            {"name": three, "url": f"{server}/root.tar", "checksum": checksum(archive)},
        ]
        before = templates.names()
        module("jail_rootfs", method="archive", jails=jails)
    assert len(templates.names()) == len(before) + 1


def test_check_mode_reads_a_file_and_nothing_else(name: str, archive: Path, tmp_path: Path) -> None:
    """It foretells what the real run does, touches no file, and asks no server."""
    requests = tmp_path / "requests"
    with web.serving({"/root.tar": web.whole(archive.read_bytes())}, requests) as server:
        for where in ({"path": str(archive)}, {"url": f"{server}/root.tar", "checksum": checksum(archive)}):
            wish: dict[str, Any] = {"name": name, "method": "archive", "trust_group": "check", **where}
            before = evidence.everything()
            foretold = module("jail_rootfs", check=True, **wish)
            assert evidence.everything() == before
            assert not requests.exists()
            done = module("jail_rootfs", **wish)
            assert foretold["jails"] == done["jails"]
            assert foretold["diff"] == done["diff"]
            module("jail_rootfs", name=name, state="absent")
            templates.remove(next(key for key in templates.names() if _group(key) == "check"))
        assert requests.read_text() == "/root.tar\n"


def _group(key: str) -> object:
    found = templates.describe(key)
    return found and found["recipe"]["trust_group"]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "path: method archive needs it, or url"),
        ({"checksum": f"sha256:{'0' * 64}"}, "path: method archive needs it, or url"),
        ({"path": "/no/such/file"}, "path: /no/such/file cannot be read: No such file or directory"),
        ({"path": "/etc"}, "path: /etc is not a regular file"),
        ({"path": "root.tar"}, "path: 'root.tar' is not an absolute path of the host"),
        ({"path": "/etc/passwd\n"}, "is not an absolute path of the host"),
        ({"url": "http://127.0.0.1:9/x"}, "checksum: method archive needs one with url"),
        ({"url": "file:///etc/passwd", "checksum": f"sha256:{'0' * 64}"}, "url: 'file:///etc/passwd' is not a URL"),
        ({"path": "/etc/passwd", "checksum": "md5:0"}, "checksum: 'md5:0' is not a checksum"),
        ({"path": "/etc/passwd", "url": "http://127.0.0.1:9/x"}, "url: path says already where the archive is"),
        ({"path": "/etc/passwd", "suite": "sid"}, "suite: means nothing to method archive"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_done(
    name: str, options: dict[str, Any], said: str, check: bool
) -> None:
    """In check mode too; nothing is recorded."""
    message = refused("jail_rootfs", check=check, name=name, method="archive", **options)
    assert message.startswith(f"{name}: ")
    assert said in message
    assert not os.path.exists(layout.desired(name))


def test_what_is_not_there_is_absent_whatever_its_archive(name: str) -> None:
    """Nothing is read for it."""
    result = module("jail_rootfs", name=name, method="archive", path="/no/such/file", state="absent")
    assert not result["changed"]


def test_one_bad_archive_harms_no_neighbour(names: Names, archive: Path, tmp_path: Path) -> None:
    """The others of the call are made."""
    good, bad = names(2)
    (tmp_path / "bad.tar").write_bytes(archive.read_bytes()[:100_000])
    jails = [{"name": bad, "path": str(tmp_path / "bad.tar")}, {"name": good, "path": str(archive)}]
    result = attempt("jail_rootfs", method="archive", jails=jails)
    assert f"{bad}: path: the archive is no tar archive" in result["msg"]
    assert result["jails"][good]["changed"]
    assert not result["jails"][good].get("failed")
    assert not os.path.exists(layout.desired(bad))
