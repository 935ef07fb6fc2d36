# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates by age: built once for whoever asks, built anew beside the old one, listed, and removed when unused."""

from __future__ import annotations

import json
import os
import subprocess
import time
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import files, layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, storage, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.fetching import caches
from ansible_collections.cellblock.jails.tests.integration.support import calls, evidence
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, jail, module, refused

Names = Callable[[int], list[str]]

_COPIES = 4


@pytest.fixture
def group(request: pytest.FixtureRequest) -> str:
    """A trust group for one test, so that its templates are its own."""
    return f"g{zlib.crc32(request.node.name.encode())}"


def wish(name: str, group: str, **more: Any) -> dict[str, Any]:
    """The options of a jail of a template that is built in no time."""
    return {"name": name, "method": "skeleton", "binaries": ["busybox"], "trust_group": group, **more}


def recipe_of(group: str) -> recipes.Recipe:
    return recipes.parse({"method": "skeleton", "binaries": ["busybox"], "trust_group": group})


def age(key: str, **by: float) -> None:
    """Let a template have been built earlier."""
    described = templates.describe(key)
    assert described is not None
    built = datetime.now(timezone.utc) - timedelta(**by)
    note = {**described, "built": built.isoformat(timespec="seconds")}
    files.write_json(os.path.join(layout.template(key), "template.json"), note)


def template_of(name: str) -> str:
    found = storage.describe(name)
    assert found is not None
    return found.template


def builds(group: str) -> int:
    """How often a template of this trust group was built, by the log."""
    lines = Path(layout.BUILD_LOG).read_text(encoding="utf-8").splitlines()
    return len([line for line in lines if "I: building" in line and f'"{group}"' in line])


def test_an_old_template_is_replaced_for_new_jails_only(names: Names, group: str) -> None:
    """Without ``refresh`` the newest is used, however old; with it, one that is older than that is built anew beside
    the old one, which the jails that have it keep; and a third."""
    one, two, three, four, five = names(5)
    module("jail_rootfs", **wish(one, group))
    first = template_of(one)
    assert first == recipes.key(recipe_of(group))
    age(first, days=8)
    module("jail_rootfs", **wish(two, group))
    module("jail_rootfs", **wish(three, group, refresh="9d"))
    assert {template_of(two), template_of(three)} == {first}
    before = evidence.files(layout.template(first))
    module("jail_rootfs", **wish(four, group, refresh="7d"))
    assert template_of(four) == f"{first}.2"
    assert {template_of(one), template_of(two)} == {first}
    assert evidence.files(layout.template(first)) == before
    assert templates.newest(recipe_of(group)) == f"{first}.2"
    described = templates.describe(f"{first}.2")
    assert described is not None
    assert (described["generation"], described["recipe"]) == (2, recipe_of(group))
    age(f"{first}.2", hours=13)
    module("jail_rootfs", **wish(five, group, refresh="12h"))
    assert template_of(five) == f"{first}.3"
    module("jail_state", name=[one, four], command=["sleep", "1000"], state="started")
    assert builds(group) == 3


def test_refresh_is_no_property_of_a_jail(name: str, group: str) -> None:
    """It is not recorded, shown, or compared: a jail that is there has nothing to do with it."""
    result = module("jail_rootfs", **wish(name, group, refresh="1d"))
    assert "refresh" not in [action["option"] for action in result["jails"][name]["actions"]]
    assert not module("jail_rootfs", **wish(name, group))["changed"]
    age(template_of(name), days=100)
    assert not module("jail_rootfs", **wish(name, group, refresh="1d"))["changed"]
    assert "refresh" not in files.read_json(f"{layout.desired(name)}/rootfs.json")
    assert "refresh" not in module("jail_info", name=[name])["jails"][name]["rootfs"]
    assert builds(group) == 1
    assert "refresh: 'tomorrow' is not an age" in refused("jail_rootfs", **wish(name, group, refresh="tomorrow"))


def test_a_list_of_jails_gets_one_new_template(names: Names, group: str) -> None:
    """Also when nothing is new enough that was there before the run."""
    old, *new = names(4)
    module("jail_rootfs", **wish(old, group))
    age(template_of(old), seconds=5)
    module("jail_rootfs", jails=[wish(each, group, refresh="0s") for each in new])
    assert {template_of(each) for each in new} == {f"{template_of(old)}.2"}
    assert builds(group) == 2


def run_at_once(wishes: list[dict[str, Any]]) -> None:
    """Run the module for each of these at the same time, in processes of their own."""
    running = []
    for options in wishes:
        started = subprocess.Popen(
            calls.command_line("jail_rootfs"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert started.stdin
        started.stdin.write(calls.arguments(options))
        started.stdin.close()
        running.append(started)
    for each in running:
        assert each.stdout
        text = each.stdout.read()
        each.stdout.close()
        assert each.wait() == 0, text


def test_plays_at_once_build_once_in_each_trust_group(names: Names, group: str) -> None:
    """Eight runs at the same time for two trust groups: one template each, and when those are too old, one new one
    each."""
    groups = (f"{group}-a", f"{group}-b")
    everybody = names(4 * _COPIES)
    for generation, refresh in enumerate(("1d", "1d"), 1):
        mine = everybody[(generation - 1) * 2 * _COPIES : generation * 2 * _COPIES]
        run_at_once([wish(name, groups[number % 2], refresh=refresh) for number, name in enumerate(mine)])
        for number, each in enumerate(groups):
            assert builds(each) == generation
            newest = templates.newest(recipe_of(each))
            assert {template_of(name) for name in mine[number::2]} == {newest}
            assert newest is not None
            age(newest, days=2)
    keys = [key for key in templates.names() if group in str(templates.describe(key))]
    assert len(keys) == 4


def test_the_old_one_is_free_while_the_new_one_is_built(names: Names, group: str) -> None:
    """A play that takes the newest as it is does not wait for another one's build."""
    one, two = names(2)
    module("jail_rootfs", **wish(one, group))
    age(template_of(one), days=2)
    ready, telling = os.pipe()

    def build_slowly() -> None:
        with files.locked(f"recipe-{template_of(one)}"), templates.locked(f"{template_of(one)}.2"):
            os.write(telling, b".")
            time.sleep(60)

    pid = process.fork(build_slowly)
    try:
        os.read(ready, 1)
        began = time.monotonic()
        module("jail_rootfs", **wish(two, group))
        assert time.monotonic() - began < 10
        assert template_of(two) == template_of(one)
    finally:
        os.kill(pid, 9)
        process.wait(pid)
        os.close(ready)
        os.close(telling)


def test_a_template_that_is_removed_just_before_it_is_used(
    name: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between building and cloning somebody prunes, as no jail came from it yet: it is built again, and the run
    succeeds. (Asked for the clone directly, storage has to refuse: the control.)"""
    from ansible_collections.cellblock.jails.plugins.module_utils.jail import converge, rootfs

    whole = templates.ensure
    removed: list[str] = []

    def ensure_and_lose(*arguments: Any) -> str:
        key = whole(*arguments)
        if not removed:
            removed.append(key)
            templates.remove(key)
        return key

    with pytest.raises(templates.GoneError):
        storage.create(name, "overlay", recipes.key(recipe_of(group)))
    monkeypatch.setattr(templates, "ensure", ensure_and_lose)
    outcome = converge.converge(rootfs.FACET, [wish(name, group)], False)[name]
    assert outcome.error is None
    assert removed == [template_of(name)]


def test_listing(names: Names, group: str) -> None:
    """By the module and by the command: what it is, of when, how large, whose."""
    one, two = names(2)
    module("jail_rootfs", jails=[wish(one, group), wish(two, group, storage="directory")])
    key = template_of(one)
    age(key, hours=5)
    found = module("jail_info", name=[], gather=["templates"])
    assert found["jails"] == {}
    template = found["templates"][key]
    assert template["jails"] == sorted([one, two])
    assert (template["method"], template["release"], template["trust_group"]) == ("skeleton", None, group)
    assert template["generation"] == 1
    assert 5 * 3600 <= template["age"] < 5 * 3600 + 60
    assert template["size"] > 1 << 20
    assert "templates" not in module("jail_info")
    listed = json.loads(jail("template", "ls", "--json").stdout)
    assert {**listed[key], "age": 0} == {**template, "age": 0}
    (line,) = [line for line in jail("template", "ls").stdout.decode().splitlines() if line.startswith(key)]
    assert line.split()[1:3] == ["skeleton", "-"]
    assert line.split()[4:] == ["5h", f"{template['size'] / (1 << 20):.1f}M", group, ",".join(sorted([one, two]))]


def test_removing_by_hand(names: Names, group: str) -> None:
    """A template is refused while a jail is nothing without it; a full copy is."""
    thin, full = names(2)
    module("jail_rootfs", jails=[wish(thin, group), wish(full, group, storage="directory")])
    key = template_of(thin)
    done = jail("template", "rm", key)
    assert done.returncode == 125
    assert f"template {key} is in use by {thin}; remove those jails first".encode() in done.stderr
    module("jail_state", name=[thin], state="absent")
    assert jail("template", "rm", key).returncode == 0
    assert not templates.exists(key)
    assert b"there is no template" in jail("template", "rm", key).stderr
    assert jail("template", "rm", "../jails").returncode == 2
    module("jail_state", name=[full], command=["sleep", "1000"], state="started")


def pruned(check: bool = False, **options: Any) -> tuple[list[str], dict[str, Any]]:
    """The names of what was removed, and the result."""
    result = module("jail_prune", check=check, **options)
    return sorted(item["name"] for item in result["removed"]), result


def test_pruning_templates(names: Names, group: str) -> None:
    """Jails of every kind of storage count; older ones go and younger ones stay; the newest of each recipe can be kept;
    check mode foretells and touches nothing; a second run finds nothing."""
    pruned(templates=True)
    kinds = list(storage.KINDS)
    jails = names(len(kinds) + 1)
    for name, kind in zip(jails, kinds):
        small = {"size": "64M"} if kind == "image" else {}  # all of it is read below, holes as well
        result = attempt("jail_rootfs", **wish(name, f"{group}-{kind}", storage=kind, **small))
        if result.get("failed"):
            print(f"{kind} cannot be had here: {result['msg']}")
            templates.remove(recipes.key(recipe_of(f"{group}-{kind}")))
    used = sorted(templates.names())
    assert used
    assert pruned(templates=True)[0] == []
    old, new = (templates.ensure(recipe_of(group), build.confine, moment) for moment in (0, time.time() + 60))
    assert new == f"{old}.2"
    age(old, days=3)
    assert pruned(check=True, templates=True, older_than="4d")[0] == []
    before = evidence.everything()
    foretold, result = pruned(check=True, templates=True)
    assert evidence.everything() == before
    assert foretold == sorted([old, new])
    assert result["changed"]
    assert result["bytes_freed"] == sum(item["bytes"] for item in result["removed"]) > 2 << 20
    assert result["diff"]["before"] == "".join(f"template {key}\n" for key in foretold)
    assert pruned(check=True, templates=True, keep_newest=True)[0] == [old]
    assert pruned(check=True, templates=True, older_than="2d")[0] == [old]
    assert pruned(templates=True, older_than="2d")[0] == [old]
    assert pruned(templates=True)[0] == [new]
    again = pruned(templates=True)[1]
    assert (again["changed"], again["removed"], again["bytes_freed"]) == (False, [], 0)
    assert sorted(templates.names()) == used


def test_pruning_leftovers(group: str) -> None:
    """What killed builds and removals left goes; what somebody works on stays."""
    pruned(templates=True)
    for parent, entry in (
        (layout.TEMPLATES, ".new-dead-1"),
        (layout.TEMPLATES, ".new-alive-1"),
        (layout.STORAGE, ".old-dead-2"),
    ):
        os.makedirs(os.path.join(parent, entry, "root"))
    try:
        with templates.locked("alive-1"):
            before = evidence.everything()
            assert pruned(check=True, templates=True)[0] == ["jails/.old-dead-2", "templates/.new-dead-1"]
            assert evidence.everything() == before
            assert pruned(templates=True)[0] == ["jails/.old-dead-2", "templates/.new-dead-1"]
            assert os.path.isdir(f"{layout.TEMPLATES}/.new-alive-1")
    finally:
        templates.sweep()
    assert not os.path.lexists(f"{layout.TEMPLATES}/.new-alive-1")


def test_pruning_downloads(group: str) -> None:
    """Files of the builders' caches, all or by age; the bytes are told; templates stay. Nobody empties a cache that is
    in use."""
    key = templates.ensure(recipe_of(group), build.confine)
    file = Path(caches.folder("test-downloads"), "lists", "package.deb")
    file.parent.mkdir()
    file.write_bytes(b"x" * 8192)
    os.utime(file, (0, 0))  # as wget(1) does; when it was downloaded is another thing
    assert pruned(cache=True, older_than="1h")[0] == []
    assert file.exists()
    ready, telling = os.pipe()

    def use() -> None:
        with caches.in_use():
            os.write(telling, b".")
            time.sleep(1)
            assert file.exists()

    user = process.fork(use)
    os.read(ready, 1)
    removed, result = pruned(cache=True)
    assert process.wait(user) == 0
    os.close(ready)
    os.close(telling)
    assert "test-downloads" in removed
    assert {"kind": "cache", "name": "test-downloads", "bytes": 8192} in result["removed"]
    assert not file.parent.exists()
    assert templates.exists(key)
    templates.remove(key)


def test_pruning_by_hand(group: str) -> None:
    """The command says the same; a dry run removes nothing; nothing chosen is an error."""
    pruned(templates=True)
    key = templates.ensure(recipe_of(group), build.confine)
    done = jail("prune", "--templates", "--dry-run", "--older-than", "0s")
    assert done.stdout.decode().startswith(f"template {key} ")
    assert done.stdout.endswith(b"M would be free\n")
    assert templates.exists(key)
    assert jail("prune", "--templates", "--older-than", "1h").stdout == b"0.0M freed\n"
    assert jail("prune", "--templates", "--keep-newest").stdout == b"0.0M freed\n"
    assert jail("prune", "--templates").stdout.decode().startswith(f"template {key} ")
    assert not templates.exists(key)
    assert b"say --templates, --cache, or both" in jail("prune").stderr
    assert jail("prune", "--older-than", "soon").returncode == 2


def test_what_was_not_chosen_is_refused() -> None:
    """The module wants to be told what to remove."""
    assert "one of the following is required: templates, cache" in refused("jail_prune")
    assert "older_than: 'soon' is not an age" in refused("jail_prune", cache=True, older_than="soon")


def test_a_build_that_fails_leaves_the_old_one(name: str, group: str) -> None:
    """The newest stays what it was, and is used again by whoever does not ask for a newer one."""
    recipe = recipes.parse(
        {"method": "skeleton", "binaries": ["busybox", "/opt/jails-test-tool"], "trust_group": group}
    )
    tool = Path("/opt/jails-test-tool")
    tool.write_text("#!/bin/sh\n")
    try:
        key = templates.ensure(recipe, build.confine)
    finally:
        tool.unlink()
    with pytest.raises(JailError, match="the host has no program /opt/jails-test-tool"):
        templates.ensure(recipe, build.confine, time.time() + 60)
    assert templates.newest(recipe) == key
    assert templates.leftovers() == []
    assert templates.ensure(recipe, build.confine) == key
    templates.remove(key)
