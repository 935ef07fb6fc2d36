# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports of files that nobody vouches for: what is damaged is refused, and what is well made opens nothing."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import store
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import space
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.exports import exportfile
from ansible_collections.cellblock.jails.tests.integration.support import evidence
from ansible_collections.cellblock.jails.tests.integration.support.archives import Archive
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    attempt,
    inside,
    module,
    options_changed,
    refused,
)
from ansible_collections.cellblock.jails.tests.integration.support.layer import stored, writable

SKELETON: dict[str, Any] = {"method": "skeleton", "binaries": ["busybox"]}
BRIDGED = {"name": "e0", "bridge": "br-imp", "addresses": ["10.87.0.2/24"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of a jail that gives up protections and has limits and a network."""
    name = "t-imports-source"
    path = tmp_path_factory.mktemp("export") / "jail.tar"
    module("jail_rootfs", name=name, **SKELETON)
    module("jail_state", name=[name], command=["sleep", "100000"], hostname="moved", userns="host")
    module("jail_limits", name=name, memory_max="64M", pids_max="unlimited")
    module("jail_net", name=name, interfaces=[BRIDGED])
    module("jail_export", name=name, dest=str(path))
    module("jail_state", name=[name], state="absent")
    return path


def signed(content: bytes) -> bytes:
    """An export of this content, with a checksum that is right."""
    return content + exportfile.trailer(hashlib.sha256(content).hexdigest())


def tree() -> bytes:
    """A tree in which a jail can run."""
    archive = Archive()
    archive.directory("root")
    for name in ("bin", "etc", "root"):
        archive.directory(f"root/{name}")
    archive.file("root/bin/sleep", Path("/bin/busybox").read_bytes(), 0o755)
    return archive.finish()


def with_manifest(text: bytes, **fields: Any) -> bytes:
    """An export with this text as its manifest; ``fields`` are those of its header."""
    info = tarfile.TarInfo("jail.json")
    info.size = len(text)
    for field, value in fields.items():
        setattr(info, field, value)
    return signed(info.tobuf(tarfile.GNU_FORMAT) + text + bytes(-len(text) % 512) + tree())


def made(desired: Any, **others: Any) -> bytes:
    """An export with this desired state."""
    return with_manifest(json.dumps({"format": 1, "template": "skeleton-0", "desired": desired, **others}).encode())


def assert_refused(name: str, path: Path, message: str = "") -> None:
    """The file is refused, with a message for people, and nothing of it stays."""
    said = refused("jail_import", name=name, src=str(path), trusted=True)
    assert said.startswith(f"{name}: ")
    assert message in said
    assert len(said) < 2000
    assert said.isprintable()
    assert not os.path.exists(layout.storage(name))
    assert not os.path.exists(layout.desired(name))
    assert [entry for entry in os.listdir(layout.STORAGE) if entry.startswith(".")] == []


def cut(content: bytes, part: float) -> bytes:
    """The beginning of an export."""
    return content[: int(len(content) * part) // 512 * 512]


def flipped(content: bytes, place: int) -> bytes:
    """An export with one bit changed."""
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _content: b"",
    "one-byte": lambda content: content[:1],
    "garbage": lambda content: hashlib.shake_128(b"garbage").digest(len(content) // 8),
    "zeros": lambda _content: bytes(1 << 16),
    "without-checksum": lambda content: content[:-512],
    "with-a-block-more": lambda content: content + bytes(512),
    "with-a-byte-more": lambda content: content + b"\n",
    "twice": lambda content: content * 2,
    "checksum-changed": lambda content: flipped(content, len(content) - 512 + 30),
    "checksum-of-another": lambda content: content[:-512] + exportfile.trailer("0" * 64),
    "manifest-changed": lambda content: content.replace(b'"hostname": "moved"', b'"hostname": "mowed"'),
    "file-changed": lambda content: flipped(content, content.index(b"root:x:0:0")),
    "header-changed": lambda content: flipped(content, content.index(b"root/usr/bin/busybox") + 5),
    "end-changed": lambda content: flipped(content, len(content) - 1024),
    "order-changed": lambda content: content[1024:2048] + content[:1024] + content[2048:],
    **{f"cut-at-{part}": functools.partial(cut, part=part) for part in (0.01, 0.2, 0.5, 0.9, 0.999)},
    "gzip-cut": lambda content: gzip.compress(content, 1)[:-100],
    "gzip-changed": lambda content: flipped(gzip.compress(content, 1), 5000),
    "gzip-and-garbage": lambda content: gzip.compress(content, 1) + b"garbage",
    "gzip-of-half": lambda content: gzip.compress(cut(content, 0.5), 1),
    "gzip-of-nothing": lambda _content: gzip.compress(b""),
    "gzip-of-garbage": lambda _content: b"\x1f\x8b" + hashlib.shake_128(b"gzip").digest(5000),
    "zstd-of-garbage": lambda _content: b"\x28\xb5\x2f\xfd" + hashlib.shake_128(b"zstd").digest(5000),
    "zstd-cut": lambda content: zstd(content)[:-100],
    "another-archive": lambda _content: signed(tree()),
}


def zstd(content: bytes) -> bytes:
    """It, compressed."""
    return subprocess.run(["zstd", "-qc"], input=content, check=True, capture_output=True).stdout


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_export_is_refused(name: str, whole: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Whatever became of it on its way. (As it was written it is imported.)"""
    (tmp_path / "damaged").write_bytes(damage(whole.read_bytes()))
    assert_refused(name, tmp_path / "damaged")


def test_the_undamaged_export_is_imported(name: str, whole: Path) -> None:
    """The control of the tests above and below."""
    module("jail_import", name=name, src=str(whole))
    module("jail_state", name=[name], state="started")
    assert inside(name, "hostname") == "moved\n"


MANIFESTS: dict[str, tuple[bytes, str]] = {
    "no-json": (with_manifest(b"format: 1"), "no export of a jail"),
    "no-object": (with_manifest(b"[1]"), "no export of a jail"),
    "no-text": (with_manifest(b'{"format": 1, "x": "\xff"}'), "no export of a jail"),
    "no-numbers": (with_manifest(b'{"format": NaN}'), "no export of a jail"),
    "number-of-a-million-digits": (with_manifest(b'{"format": ' + b"9" * 1_000_000 + b"}"), ""),
    "key-twice": (with_manifest(b'{"format": 1, "format": 1}'), "no export of a jail"),
    "deep": (with_manifest(b"[" * 500_000 + b"]" * 500_000), "no export of a jail"),
    "empty": (with_manifest(b""), "no export of a jail"),
    "too-large": (with_manifest(b'{"format": 1}' + b" " * (1 << 20)), "no export of a jail"),
    "huge-size": (with_manifest(b"{}", size=1 << 62), "no export of a jail"),
    "link": (with_manifest(b"", type=b"2", linkname="/etc/passwd"), "no export of a jail"),
    "other-name": (with_manifest(b"{}", name="/etc/passwd"), "no export of a jail"),
    "other-format": (with_manifest(b'{"format": 2}'), "only 1 is known here"),
    "format-true": (with_manifest(b'{"format": true}'), "only 1 is known here"),
    "format-text": (with_manifest(b'{"format": "1\\u001b[31m"}'), "only 1 is known here"),
    "nothing-desired": (with_manifest(b'{"format": 1, "template": "x"}'), "is no object"),
    "list-desired": (made([]), "is no object"),
    "unknown-module": (made({"../../etc": {}}), "means nothing here"),
    "unknown-option": (made({"state": {"hook": ["/bin/sh"]}}), "means nothing here"),
    "option-for-making": (made({"rootfs": {**SKELETON, "url": "http://x/"}}), "means nothing here"),
    "facet-of-text": (made({"state": "started"}), "is no object"),
    "command-of-text": (made({"state": {"command": "sleep"}}), "command: "),
    "command-of-numbers": (made({"state": {"command": [1]}}), "command: "),
    "command-with-nul": (made({"state": {"command": ["a\0b"]}}), "command: "),
    "surrogate": (with_manifest(b'{"format":1,"desired":{"state":{"command":["\\ud800"]}}}'), "command: "),
    "hostname-with-newline": (made({"state": {"hostname": "a\nb"}}), "hostname: "),
    "true-for-a-number": (made({"state": {"stop_timeout": True}}), "stop_timeout: "),
    "huge-number": (made({"state": {"stop_timeout": 1e300}}), "stop_timeout: "),
    "number-for-a-switch": (made({"state": {"allow_sysvipc": 1}}), "allow_sysvipc: "),
    "no-choice": (made({"rootfs": {"method": "rm"}}), "method: "),
    "template-that-leads-out": (made({}, template="../../../etc"), "is no key"),
    "template-number": (made({}, template=7), "is no key"),
    "path-in-a-recipe": (made({"rootfs": {**SKELETON, "binaries": ["../../etc/shadow"]}}), "binaries: "),
    "clone-of-a-path": (made({"rootfs": {"method": "clone", "source": "../../x"}}), "cannot name a jail"),
    "interface-with-commands": (made({"net": {"interfaces": [{"name": "e;id", "bridge": "b"}]}}), "interfaces: "),
    "interface-of-unknown-keys": (made({"net": {"interfaces": [{"name": "e0", "hook": "x"}]}}), "interfaces"),
    "limit-of-everything": (made({"limits": {"memory_max": "-1"}}), "memory_max: "),
}  # fmt: skip
"""Exports with right checksums, and part of the message that refuses them."""


@pytest.mark.parametrize(("content", "message"), MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_nobody_wrote_is_refused(name: str, tmp_path: Path, content: bytes, message: str) -> None:
    """Also by an administrator who trusts it. (One that is well formed is imported, with the same tree.)"""
    (tmp_path / "made").write_bytes(content)
    assert_refused(name, tmp_path / "made", message)


def test_a_manifest_by_hand_is_as_good_as_ours(name: str, tmp_path: Path) -> None:
    """The control of the test above."""
    (tmp_path / "made").write_bytes(made({"state": {"command": ["/bin/sleep", "1000"]}, "rootfs": SKELETON}))
    module("jail_import", name=name, src=str(tmp_path / "made"))
    module("jail_state", name=[name], state="started")


def test_an_export_that_is_not_trusted_opens_nothing(name: str, whole: Path) -> None:
    """Neither the host's user namespace nor a place in the network nor limits of its own, whatever it says; each is
    told. (Where it is trusted it has them.)"""
    result = module("jail_import", name=name, src=str(whole))["jails"][name]
    assert sorted(result["left_out"]) == [
        "limits.memory_max",
        "limits.pids_max",
        "net.interfaces",
        "state.userns",
    ]
    found = module("jail_info", name=[name])["jails"][name]
    assert found["state"]["userns"] == "auto"
    assert found["state"]["command"] == ["sleep", "100000"]
    assert found["state"]["hostname"] == "moved"
    assert found["limits"]["pids_max"] == "4096"
    assert found["net"]["interfaces"] == []
    module("jail_state", name=[name], state="absent")
    result = module("jail_import", name=name, src=str(whole), trusted=True)["jails"][name]
    assert result["left_out"] == []
    assert any("userns" in sentence for sentence in result["degraded"])
    found = module("jail_info", name=[name])["jails"][name]
    assert found["state"]["userns"] == "host"
    assert found["limits"]["memory_max"] == "64M"
    assert found["limits"]["pids_max"] == "unlimited"
    assert [each["bridge"] for each in found["net"]["interfaces"]] == ["br-imp"]


def test_every_option_is_left_out_but_those_that_are_harmless(name: str, tmp_path: Path) -> None:
    """An option that is added to the tables one day is not taken from an export until somebody has thought of it."""
    desired = {
        "state": {"allow_raw_sockets": True, "capabilities": {"add": ["NET_RAW"]}, "init": "/bin/x"},
        "rootfs": {**SKELETON, "size": "1G", "timezone": "Europe/Berlin"},
    }
    (tmp_path / "made").write_bytes(made(desired))
    result = module("jail_import", name=name, src=str(tmp_path / "made"))["jails"][name]
    assert sorted(result["left_out"]) == ["rootfs.size", "state.allow_raw_sockets", "state.capabilities"]
    assert store.read(name, "state") == {"init": "/bin/x"}
    assert {"size", "inodes"}.isdisjoint(store.read(name, "rootfs"))
    assert store.read(name, "rootfs")["timezone"] == "Europe/Berlin"


def test_an_address_that_another_jail_has(name: str, whole: Path) -> None:
    """A trusted export whose network would clash is refused; without its network it is imported."""
    module("jail_net", name=f"{name}-o", interfaces=[BRIDGED])
    try:
        assert_refused(name, whole, "both have the address 10.87.0.2")
        module("jail_import", name=name, src=str(whole))
    finally:
        module("jail_state", name=[f"{name}-o"], state="absent")


def test_what_was_said_on_this_host_holds(name: str, whole: Path) -> None:
    """Options that are recorded of the jail already are not changed by the export, trusted or not."""
    module("jail_limits", name=name, memory_max="32M")
    module("jail_state", name=[name], hostname="mine")
    module("jail_import", name=name, src=str(whole), trusted=True)
    found = module("jail_info", name=[name])["jails"][name]
    assert found["limits"]["memory_max"] == "32M"
    assert found["state"]["hostname"] == "mine"
    assert found["state"]["command"] == ["sleep", "100000"]


def test_once_is_enough(name: str, whole: Path, tmp_path: Path) -> None:
    """A jail that was imported stays as it is; another checksum, and a jail from elsewhere, are refused. Check mode
    foretells, and touches nothing. What it was made of needs no making on this host either."""
    checksum = f"sha256:{hashlib.sha256(whole.read_bytes()).hexdigest()}"
    wish: dict[str, Any] = {"name": name, "src": str(whole), "checksum": checksum.upper().replace("SHA256", "sha256")}
    module("jail_info")
    before = evidence.everything()
    foretold = module("jail_import", check=True, **wish)
    assert evidence.everything() == before
    done = module("jail_import", **wish)
    assert foretold["jails"][name]["actions"] == done["jails"][name]["actions"]
    assert foretold["diff"] == done["diff"]
    assert options_changed(done, name) == [("state", "create"), ("src", "create")]
    (writable(name) / "mine").write_text("kept")
    for check in (True, False):
        assert not module("jail_import", check=check, **wish)["changed"]
        assert not module("jail_import", check=check, name=name, src=str(whole))["changed"]
        message = refused("jail_import", check=check, name=name, src=str(whole), checksum="sha256:" + "0" * 64)
        assert f"was imported from an export with the checksum {checksum}" in message
    assert not module("jail_rootfs", name=name, **SKELETON)["changed"]
    assert (writable(name) / "mine").read_text() == "kept"
    module("jail_state", name=[name], state="absent")
    module("jail_rootfs", name=name, **SKELETON)
    assert "was not imported" in refused("jail_import", **wish)
    assert stored(name).kind == "overlay"


def test_bad_values(name: str, whole: Path, tmp_path: Path) -> None:
    """Each is refused with its option, and nothing is left."""
    os.mkfifo(tmp_path / "fifo")
    wish = {"name": name, "src": str(whole)}
    assert "src: " in refused("jail_import", name=name)
    assert "No such file" in refused("jail_import", name=name, src=str(tmp_path / "no"))
    assert "is not a regular file" in refused("jail_import", name=name, src=str(tmp_path / "fifo"))
    assert "is not a regular file" in refused("jail_import", name=name, src=str(tmp_path))
    assert "is not a checksum" in refused("jail_import", checksum="md5:0", check=False, **wish)
    assert "has the checksum" in refused("jail_import", checksum="sha256:" + "0" * 64, check=False, **wish)
    assert not os.path.exists(layout.storage(name))
    assert not os.path.exists(layout.desired(name))


def test_an_export_that_grows_beyond_the_disk(name: str, lib_on: Callable[..., str], tmp_path: Path) -> None:
    """A file of a few kilobytes that becomes more than the disk holds is refused before the disk is full. (Who unpacks
    it fills it.)"""
    lib_on("ext4", 64)
    module("jail_import", name=name, src="/nowhere", check=True)
    info = tarfile.TarInfo("root/blob")
    info.size = 200 << 20
    content = exportfile.header({"template": "x-0", "desired": {}}) + info.tobuf(tarfile.USTAR_FORMAT)
    content += bytes(info.size + 1024)
    (tmp_path / "bomb").write_bytes(zstd(signed(content)))
    assert os.path.getsize(tmp_path / "bomb") < 100_000
    assert info.size > space.bytes_free(layout.LIB) > info.size // 8
    message = refused("jail_import", name=name, src=str(tmp_path / "bomb"))
    assert "holds more than is free" in message or "No space left" in message
    assert not os.path.exists(layout.storage(name))
    attempt("jail_state", name=[name], state="absent")
