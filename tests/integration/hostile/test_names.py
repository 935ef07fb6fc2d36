# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives whose members have names that lead out, that no file system takes, or that a terminal would obey."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.tests.integration.support.archives import Archive, Naive
from ansible_collections.cellblock.jails.tests.integration.support.calls import shell
from ansible_collections.cellblock.jails.tests.integration.support.hostile import Canary, Case, parametrized, run

_LEADS_OUT = "path: the archive has a member whose name leads out of it: '"


def _hit(_naive: Naive, canary: Canary) -> bool:
    return canary.hit()


def _stopped_halfway(naive: Naive, _canary: Canary) -> bool:
    """It met an error, and what came before stays."""
    return bool(naive.errors) and (naive.root / "bin/busybox").exists()


def _deep(archive: Archive, _canary: Canary) -> None:
    archive.file("d/" * 1900 + "file")


def _too_deep(archive: Archive, _canary: Canary) -> None:
    archive.file(("d" * 200 + "/") * 25 + "file")


def _looks_like_ours(archive: Archive, _canary: Canary) -> None:
    archive.file("template.json", b"{}")
    archive.file(".new-archive-0000000000000000/root/x")
    archive.file("root/storage.json", b'{"kind": "overlay", "template": "x"}')
    archive.file("upper/etc/passwd")


def _cannot_be_printed(naive: Naive, _canary: Canary) -> bool:
    """Who lists the names in UTF-8 fails."""
    with pytest.raises(UnicodeEncodeError):
        "\n".join(os.listdir(naive.root / "root")).encode()
    return True


def _finds_odd_name(name: str, tree: Path) -> None:
    assert os.listdir(os.fsencode(tree / "root")) == [b"\xff\xfe\n"]
    assert shell(name, "cat /root/*") == "hostile\n"


CASES = (
    Case("climbing", lambda archive, canary: archive.file(canary.up()), _hit, _LEADS_OUT),
    Case("climbing-late", lambda archive, canary: archive.file(f"etc/{canary.up()}"), _hit, _LEADS_OUT),
    Case("climbing-dotted", lambda archive, canary: archive.file(f"././etc/.././{canary.up()}"), _hit, _LEADS_OUT),
    Case("climbing-directory", lambda archive, canary: archive.directory(canary.up(""), 0o777),
         lambda _naive, canary: canary.place.stat().st_mode & 0o777 == 0o777, _LEADS_OUT),
    Case("absolute", lambda archive, canary: archive.file(str(canary / "file")), _hit),
    Case("absolute-doubled", lambda archive, canary: archive.file(f"//{canary / 'file'}"), _hit),
    Case("longname-climbing", lambda archive, canary: archive.file(f"{'./' * 60}{canary.up()}"), _hit, _LEADS_OUT),
    Case("pax-name-climbing",
         lambda archive, canary: archive.add("etc/motd", b"0", b"hostile\n", {"path": canary.up()}), _hit, _LEADS_OUT),
    Case("pax-name-absolute",
         lambda archive, canary: archive.add("etc/motd", b"0", b"hostile\n", {"path": str(canary / "file")}), _hit),
    Case("component-too-long", lambda archive, _canary: archive.file("etc/" + "n" * 300), _stopped_halfway,
         "cannot be unpacked: .*File name too long"),
    Case("path-too-long", _too_deep, _stopped_halfway, "cannot be unpacked: .*File name too long"),
    Case("deep", _deep, lambda naive, _canary: "RecursionError" in "".join(naive.errors)),
    Case("empty-name", lambda archive, _canary: archive.file(""), lambda naive, _canary: naive.errors,
         "cannot be unpacked: .*for empty member name"),
    Case("escapes", lambda archive, _canary: archive.device("etc/\x1b[2J\x1b]0;x\x07\r\nI: built", b"3", 1, 3),
         lambda naive, _canary: "\x1b[2J" in "".join(os.listdir(naive.root / "etc"))),
    Case("newline", lambda archive, _canary: archive.file("etc/a\n[x] I: built"),
         lambda naive, _canary: "[x] I: built" in "\n".join(os.listdir(naive.root / "etc")).split("\n")),
    Case("no-utf-8", lambda archive, _canary: archive.file(os.fsdecode(b"root/\xff\xfe\n")),
         _cannot_be_printed, look=_finds_odd_name),
    Case("option-like", lambda archive, _canary: archive.file("--checkpoint-action=exec=sh"),
         lambda naive, _canary: (naive.root / "--checkpoint-action=exec=sh").exists()),
    Case("like-our-own", _looks_like_ours, lambda naive, _canary: (naive.root / "template.json").exists()),
)  # fmt: skip


@parametrized(CASES)
def test_names(case: Case, name: str) -> None:
    """See :mod:`..support.hostile`."""
    run(case, name)
