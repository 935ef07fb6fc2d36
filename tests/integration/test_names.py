# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails that know each other by name."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.tests.integration.support import evidence
from ansible_collections.cellblock.jails.tests.integration.support.boxes import make_boxes
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    attempt,
    inside,
    module,
    options_changed,
    pid_of,
    refused,
    shell,
)
from ansible_collections.cellblock.jails.tests.integration.support.networks import network_namespace

_Names = Callable[[int], list[str]]


def _wired(name: str, number: int, **more: Any) -> dict[str, Any]:
    """Options of a jail whose address has this number."""
    interface = {"name": "eth0", "bridge": "br-names", "addresses": [f"10.86.0.{number}/24", f"fd86::{number:x}/64"]}
    return {"name": name, "interfaces": [{**interface, **more}]}


def _known(name: str) -> dict[str, list[str]]:
    """The addresses by name, of other jails, in a jail's file."""
    found: dict[str, list[str]] = {}
    for line in inside(name, "cat", "/etc/hosts").splitlines():
        words = line.split("#")[0].split()
        if words and words[0].startswith(("10.", "fd")):
            found.setdefault(words[1], []).append(words[0])
    return found


@pytest.fixture
def two(names: _Names) -> list[str]:
    """Two running jails; the first asks for names."""
    given = names(2)
    make_boxes(given)
    module("jail_net", jails=[{**_wired(given[0], 2), "names": True}, _wired(given[1], 3)])
    return given


def test_a_jail_is_reached_by_its_name(two: list[str]) -> None:
    web, db = two
    assert _known(web) == {db: ["10.86.0.3", "fd86::3"]}
    assert _known(db) == {}
    with network_namespace(pid_of(db)):
        listener = socket.create_server(("10.86.0.3", 0))

    def greet() -> None:
        connection, _peer = listener.accept()
        with connection:
            connection.sendall(b"hello\n")

    with listener:
        listener.settimeout(30)
        server = threading.Thread(target=greet, daemon=True)
        server.start()
        assert inside(web, "nc", db, str(listener.getsockname()[1])) == "hello\n"
        server.join()


def test_what_changes_is_told_in_the_same_call(two: list[str], names: _Names) -> None:
    """An address, another jail that does not even run, one that asks later, and one that goes."""
    web, db = two
    (late,) = names(1)
    module("jail_net", **_wired(db, 4))
    assert _known(web) == {db: ["10.86.0.4", "fd86::4"]}
    module("jail_net", **_wired(late, 5))
    assert _known(web) == {db: ["10.86.0.4", "fd86::4"], late: ["10.86.0.5", "fd86::5"]}
    result = module("jail_net", name=db, names=True)
    assert options_changed(result, db) == [("names", "live")]
    assert _known(db) == {web: ["10.86.0.2", "fd86::2"], late: ["10.86.0.5", "fd86::5"]}
    module("jail_state", name=[late], state="absent")
    assert (_known(web), _known(db)) == ({db: ["10.86.0.4", "fd86::4"]}, {web: ["10.86.0.2", "fd86::2"]})
    for each in ({"name": web, "names": True}, _wired(db, 4)):
        assert not module("jail_net", **each)["changed"]
    module("jail_net", name=web, names=False)
    assert _known(web) == {}
    assert "#" not in inside(web, "cat", "/etc/hosts")


def test_the_lines_of_the_jail_and_of_jail_rootfs_stay(two: list[str]) -> None:
    web, db = two
    shell(web, "printf '# mine\\n192.0.2.1\\tone   # here\\n\\n192.0.2.2 two' >> /etc/hosts")
    own = [line for line in inside(web, "cat", "/etc/hosts").splitlines() if db not in line]
    module("jail_net", **_wired(db, 9))
    now = inside(web, "cat", "/etc/hosts").splitlines()
    assert sorted(line for line in now if db not in line) == sorted(own)
    assert [line for line in now if line.startswith(("# mine", "192.0.2"))] == own[-4:-2] + own[-1:]
    module("jail_rootfs", name=web, hosts=["192.0.2.7 seven"])
    assert not module("jail_rootfs", name=web, hosts=["192.0.2.7 seven"])["changed"]
    assert not module("jail_net", name=web, names=True)["changed"]
    assert _known(web) == {db: ["10.86.0.9", "fd86::9"]}
    module("jail_state", name=[web], hostname="renamed")
    assert _known(web) == {db: ["10.86.0.9", "fd86::9"]}
    assert "127.0.1.1 renamed" in inside(web, "cat", "/etc/hosts")


def test_a_start_tells_what_there_is_then(two: list[str]) -> None:
    web, db = two
    module("jail_state", name=[web], state="stopped")
    module("jail_net", **_wired(db, 7))
    module("jail_state", name=[web], state="started")
    assert _known(web) == {db: ["10.86.0.7", "fd86::7"]}
    assert not module("jail_net", name=web, names=True)["changed"]
    module("jail_state", name=[web], state="stopped")
    module("jail_net", name=web, names=False)
    module("jail_state", name=[web], state="started")
    assert _known(web) == {}


def test_who_cannot_be_reached_is_not_named(two: list[str], names: _Names) -> None:
    web, db = two
    (other,) = names(1)
    module("jail_net", **_wired(other, 8, bridge="br-elsewhere", addresses=["10.87.0.8/24"]))
    assert other not in _known(web)
    ways = {"gateway": "10.87.0.1", "bridge": "br-elsewhere", "addresses": ["10.87.0.8/24"]}
    module("jail_net", jails=[_wired(other, 8, **ways), _wired(web, 2, gateway="10.86.0.1")])
    assert _known(web) == {db: ["10.86.0.3", "fd86::3"], other: ["10.87.0.8"]}
    module("jail_net", jails=[_wired(web, 2, isolate=True), _wired(db, 3, isolate=True)])
    assert _known(web) == {}


@pytest.mark.parametrize(
    "damage",
    [
        "sed -i '/^10\\.86/d' /etc/hosts",
        "sed -i 's/^10\\.86\\.0\\.3/10.86.0.66/' /etc/hosts",
        "sed -i '/^# The other/d' /etc/hosts",
        "sed -i '/^# The end/d' /etc/hosts",
        "rm /etc/hosts",
        "rm /etc/hosts; mkfifo /etc/hosts",
        "cat /etc/hosts /etc/hosts > /tmp/h; cat /tmp/h > /etc/hosts",
    ],
)
def test_what_the_jail_has_undone_is_seen_and_put_right(two: list[str], damage: str) -> None:
    web, db = two
    shell(web, f"mkdir -p /tmp; {damage}")
    result = module("jail_net", name=web, names=True)
    assert [(option, after) for option, _before, after, _how in actions(result, web)] == [("names", True)]
    assert not module("jail_net", name=web, names=True)["changed"]
    assert {"10.86.0.3", "fd86::3"} <= set(_known(web)[db])
    assert "127.0.0.1" in inside(web, "cat", "/etc/hosts")


def test_a_hostile_file_harms_nobody(two: list[str], tmp_path: Path) -> None:
    """A link to a file of the host is replaced inside. What cannot be a file, or is too large to be kept, stays, and is
    warned of in a call for another jail. (Who goes by the name from the host gets to the host's file: the control.)"""
    web, db = two
    (tmp_path / "hosts").write_text("127.0.0.1 host\n", encoding="utf-8")
    before = evidence.files(str(tmp_path))
    for number, target in enumerate(
        (f"{tmp_path}/hosts", f"/../../../../../..{tmp_path}/hosts", "/proc/1/root/etc/hosts")
    ):
        shell(web, f"rm -rf /etc/hosts; ln -s '{target}' /etc/hosts")
        if number == 0:
            assert Path(target).read_text(encoding="utf-8") == "127.0.0.1 host\n"
        module("jail_net", **_wired(db, 20 + number))
        assert evidence.files(str(tmp_path)) == before
        assert _known(web) == {db: [f"10.86.0.{20 + number}", f"fd86::{20 + number:x}"]}
        assert inside(web, "sh", "-c", "test -L /etc/hosts || echo file") == "file\n"
        assert "127.0.0.1 host" not in inside(web, "cat", "/etc/hosts")
    for number, (damage, said) in enumerate(
        (("mkdir -p /etc/hosts/full", "cannot be written"), ("head -c 30000000 /dev/zero > /etc/hosts", "larger than"))
    ):
        shell(web, f"rm -rf /etc/hosts; {damage}")
        result = attempt("jail_net", **_wired(db, 30 + number))
        assert not result.get("failed"), result
        (warning,) = result["warnings"]
        assert web in str(warning)
        assert said in str(warning)
        assert said in refused("jail_net", name=web, names=True)
    assert inside(web, "sh", "-c", "wc -c < /etc/hosts") == "30000000\n"
    module("jail_state", name=[web], state="stopped")
    assert "larger than" in refused("jail_state", name=[web], state="started")
    shell(web, "rm -rf /etc/hosts")
    module("jail_net", name=web, names=True)
    assert _known(web) == {db: ["10.86.0.31", "fd86::1f"]}
