# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""jail_dedupe and ``jail dedupe`` on jails that run programs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import generations, records, storage, templates
from ansible_collections.cellblock.jails.tests.integration.support import calls, filesystems, overlays, tracing
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    attempt,
    inside,
    jail,
    module,
    refused,
    shell,
)

Names = Callable[[int], list[str]]
LibOn = Callable[..., str]

RECIPE: dict[str, Any] = {"method": "skeleton", "binaries": ["busybox"], "trust_group": "sharing"}
_UPGRADE = """
for number in 1 2 3 4 5 6 7 8; do
    mkdir -p /usr/lib/tool
    yes "version 2 of $number" | head -c 400000 > /usr/lib/tool/$number
    touch -d '2024-05-06 07:08:09' /usr/lib/tool/$number
done
echo mine > /etc/tool.conf
touch -d '2024-05-06 07:08:09' /usr/lib/tool /usr/lib
"""
_LOOK = """
cd /
find . -xdev -type f | sort | xargs sha256sum
find . -xdev ! -type d | sort | xargs ls -lnd
find . -xdev -type d | grep -v -E '^./(dev|proc|run|sys)$' | sort | xargs stat -c '%n %a %u %g %Y'
"""
_WORK = "(while :; do cat /usr/lib/tool/* | sha256sum >> /root/sums; sleep 0.1; done) > /dev/null 2>&1 &"


def next_generation(key: str, script: str) -> str:
    """A further generation of a template, as if its builder had come to make the same and what a script does; its
    key."""
    known = templates.describe(key)
    assert known is not None
    name = generations.following(generations.key_of(key), templates.names())

    def fill(tree: str) -> None:
        os.rmdir(tree)
        subprocess.run(["cp", "-a", templates.tree(key), tree], check=True)
        subprocess.run(["busybox", "chroot", tree, "/bin/sh", "-c", script], check=True)

    overlays.make_template(name, fill, "2100-01-01T00:00:00+00:00", known["recipe"])
    return name


def template_of(name: str) -> str:
    """The key of a jail's template."""
    record = records.read(name)
    assert record is not None
    return record.template


def made(given: list[str], **options: Any) -> str:
    """Make jails that sleep, running; the key of their template."""
    module("jail_rootfs", jails=[{"name": each, **RECIPE, **options} for each in given])
    module("jail_state", name=given, command=["sleep", "100000"], state="started")
    return template_of(given[0])


@pytest.fixture(autouse=True)
def cleared(names: Names) -> Iterator[None]:
    """No template of these tests outlives them."""
    yield
    for key in templates.names():
        found = templates.describe(key)
        if found and found["recipe"]["trust_group"] in ("sharing", "apart"):
            for name in storage.names():
                attempt("jail_state", name=[name], state="absent")
            shutil.rmtree(layout.template(key))


def test_upgraded_jails_share_a_template_again(names: Names) -> None:
    """Three jails upgrade themselves. Running ones are left alone, with the reason; stopped ones are moved onto the
    newer template, see the same, start, and nothing is left to do; check mode had said so."""
    given = names(3)
    key = made(given)
    for each in given:
        shell(each, _UPGRADE)
    newer = next_generation(key, _UPGRADE)
    running = module("jail_dedupe", name=given)
    assert not running["changed"]
    assert all("it runs" in running["jails"][each]["skipped_because"] for each in given)
    seen = [shell(each, _LOOK) for each in given[:2]]
    module("jail_state", name=given[:2], state="stopped")

    said = module("jail_dedupe", name=given, check=True)
    assert [template_of(each) for each in given] == [key] * 3
    done = module("jail_dedupe", name=given)
    for each in given[:2]:
        found = done["jails"][each]
        assert found["template"] == template_of(each) == newer
        assert (found["changed"], found["dropped"], found["copied_up"]) == (True, 8, 0)
        assert found["bytes_before"] - found["bytes_after"] >= 8 * 400_000
        assert {**found, "bytes_after": 0} == {**said["jails"][each], "bytes_after": 0}
        assert abs(found["bytes_after"] - said["jails"][each]["bytes_after"]) < 100_000
    assert "it runs" in done["jails"][given[2]]["skipped_because"]
    assert [each["before_header"] for each in done["diff"]] == [f"{each} (shared)" for each in given[:2]]

    module("jail_state", name=given[:2], state="started")
    assert [shell(each, _LOOK) for each in given[:2]] == seen
    shell(given[0], "echo changed > /usr/lib/tool/1")
    assert shell(given[1], _LOOK) == seen[1]
    module("jail_state", name=given, state="stopped")
    assert module("jail_dedupe", name=given)["jails"][given[2]]["dropped"] == 8
    assert not module("jail_dedupe", name=given)["changed"]
    templates.remove(key)


def test_a_jail_that_was_not_upgraded_stays(name: str) -> None:
    """Over the newer template it would need more space. Named, the template is taken all the same, and the jail sees
    what it saw."""
    key = made([name])
    shell(name, _UPGRADE)
    module("jail_state", name=[name], state="stopped")
    newer = next_generation(key, _UPGRADE)
    module("jail_dedupe", name=[name])
    other = next_generation(key, "true")  # without what the jail has done
    before = overlays.view(name)
    found = module("jail_dedupe", name=[name])["jails"][name]
    assert not found["changed"]
    assert "more than it gives back" in found["skipped_because"]
    assert template_of(name) == newer
    found = module("jail_dedupe", name=[name], template=other)["jails"][name]
    assert (found["changed"], found["copied_up"] >= 8) == (True, True)
    assert template_of(name) == other
    assert overlays.view(name) == before


def test_a_template_that_is_only_newer_is_not_worth_its_directories(name: str) -> None:
    """Built again with the same files, it differs in the times of its directories, of which the jail would have to have
    its own."""
    key = made([name])
    module("jail_state", name=[name], state="stopped")
    next_generation(key, "touch -d '2024-05-06 07:08:09' /usr /usr/bin /usr/lib /var /var/lib")
    found = module("jail_dedupe", name=[name])["jails"][name]
    assert (found["changed"], found["template"]) == (False, key)
    assert "more than it gives back" in found["skipped_because"]


def test_one_failure_does_not_stop_the_others(names: Names) -> None:
    """A jail that is not there, a name that is none, a template of another trust group or that is not there: each is
    named, and the other jails are done."""
    given = names(2)
    key = made(given)
    shell(given[0], _UPGRADE)
    module("jail_state", name=given, state="stopped")
    next_generation(key, _UPGRADE)
    result = attempt("jail_dedupe", name=["t-nobody", "../x", *given])
    assert result["failed"]
    assert "t-nobody: it has no root file system" in result["msg"]
    assert "'../x' cannot name a jail" in result["msg"]
    assert result["jails"][given[0]]["dropped"] == 8
    assert "template test-none is not there" in refused("jail_dedupe", name=given, template="test-none")
    overlays.make_template(
        "test-apart", lambda _tree: None, "2100-01-01T00:00:00+00:00", {**RECIPE, "trust_group": "apart"}
    )
    assert "is not of its trust group sharing" in refused("jail_dedupe", name=given, template="test-apart")


def test_the_command_does_all_jails(names: Names) -> None:
    """``jail dedupe`` without names; a table for people, JSON for programs."""
    given = names(2)
    key = made(given)
    shell(given[0], _UPGRADE)
    module("jail_state", name=given[:1], state="stopped")
    next_generation(key, _UPGRADE)
    done = jail("dedupe", "--json")
    assert done.returncode == 0, done
    found = json.loads(done.stdout)
    assert found[given[0]]["dropped"] == 8
    assert "it runs" in found[given[1]]["skipped_because"]
    table = jail("dedupe", given[0]).stdout.decode().splitlines()
    assert table[0].split() == ["NAME", "BEFORE", "AFTER", "DROPPED", "COPIED", "SHARED", "NOTE"]
    assert table[1].split()[0] == given[0]
    assert jail("dedupe", "t-nobody").returncode == 1


def test_a_start_clears_what_a_killed_run_left(name: str) -> None:
    """So that no file has a name more than the jail knows of: programs ask for that (cron of its tables)."""
    made([name])
    shell(name, "echo own > /root/own")
    module("jail_state", name=[name], state="stopped")
    stored = storage.describe(name)
    assert stored is not None
    assert stored.writable is not None
    left = Path(layout.storage(name)) / ".new-upper"
    left.mkdir()
    os.link(Path(stored.writable) / "root/own", left / "own")
    assert "must be cleared first" in refused("jail_dedupe", name=[name], check=True)
    assert storage.leftovers() == [str(left)]
    module("jail_state", name=[name], state="started")
    assert not left.exists()
    assert inside(name, "stat", "-c", "%h", "/root/own") == "1\n"


@pytest.mark.parametrize(("disk", "kind"), [("btrfs", "directory"), ("xfs", "directory"), ("btrfs", "btrfs")])
def test_running_jails_with_full_copies_share(names: Names, disk: str, kind: str, lib_on: LibOn) -> None:
    """While programs of both read and write, equal files share their place on the disk; nobody notices."""
    lib_on(disk)
    given = names(2)
    made(given, storage=kind)
    for each in given:
        shell(each, _UPGRADE)
        shell(each, _WORK)
    free = filesystems.free_bytes()
    done = module("jail_dedupe", name=given)
    assert done["jails"][given[1]]["deduplicated"] == 8
    assert done["jails"][given[0]]["bytes_after"] < done["jails"][given[0]]["bytes_before"] - 8 * 300_000
    assert filesystems.grows_to(free + 8 * 300_000)
    for each in given:
        assert len(set(shell(each, "cat /root/sums").splitlines())) == 1
        assert "version 2 of 3" in shell(each, "head -n1 /usr/lib/tool/3")
    shell(given[0], "echo changed > /usr/lib/tool/3")
    assert "version 2 of 3" in shell(given[1], "head -n1 /usr/lib/tool/3")


def test_an_image_is_left_alone(name: str) -> None:
    """With the reason."""
    made([name], storage="image")
    module("jail_state", name=[name], state="stopped")
    found = module("jail_dedupe", name=[name])["jails"][name]
    assert (found["changed"], found["bytes_before"]) == (False, 0)
    assert "file system of its own" in found["skipped_because"]


def test_check_mode_touches_nothing(name: str) -> None:
    """By the system calls that it makes: it looks, and asks the file system where things lie."""
    tracing.needs_strace()
    key = made([name])
    shell(name, _UPGRADE)
    module("jail_state", name=[name], state="stopped")
    next_generation(key, _UPGRADE)
    python, *rest = calls.command_line("jail_dedupe")
    wish = calls.arguments({"name": [name]}, True)
    lines = tracing.calls_of([python, "-B", *rest], wish, dict(os.environ))
    assert any('"dropped": 8' in line or '\\"dropped\\": 8' in line for line in lines), lines[-5:]
    assert [
        line for line in lines if tracing.touches(line) and "FIEMAP" not in line and "dest_count=0" not in line
    ] == []
