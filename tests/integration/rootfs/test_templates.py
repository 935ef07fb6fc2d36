# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates: once, whole, or not at all."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools, recipes, storage, templates
from ansible_collections.cellblock.jails.tests.integration.support.layer import (
    SKELETON,
    dot_names,
    log_lines,
    never,
    stored,
)
from ansible_collections.cellblock.jails.tests.integration.support.processes import (
    in_another_process,
    kill_at_random,
    wait_for_no_children,
)


def test_a_template_that_is_there_is_left_alone() -> None:
    key = templates.ensure(SKELETON, never)
    before = os.stat(templates.tree(key)).st_ino
    lines = len(log_lines())
    assert templates.ensure(SKELETON, never) == key
    assert os.stat(templates.tree(key)).st_ino == before
    assert len(log_lines()) == lines


def test_two_at_once_build_once() -> None:
    pids = [in_another_process(lambda: templates.ensure(SKELETON, never)) for _time in range(4)]
    assert [process.wait(pid) for pid in pids] == [0] * 4
    assert len([line for line in log_lines() if "I: building" in line]) == 1
    assert templates.names() == [recipes.key(SKELETON)]


def test_killed_at_any_moment_the_next_build_converges() -> None:
    hits = 0
    for _time in range(40):
        hits += kill_at_random(lambda: templates.ensure(SKELETON, never), 0.2)
        templates.remove(recipes.key(SKELETON))
    wait_for_no_children()
    assert hits > 5
    key = templates.ensure(SKELETON, never)
    assert dot_names(layout.TEMPLATES) == []
    assert set(os.listdir(layout.template(key))) == {"root", "template.json"}
    status, text = hosttools.output_of(["/usr/sbin/chroot", templates.tree(key), "/bin/sh", "-c", "echo whole"])
    assert (status, text) == (0, "whole\n")


def test_sweeping_spares_what_is_being_made() -> None:
    for name in (".new-dead-1", ".old-dead-2", ".new-alive-3"):
        os.makedirs(f"{layout.TEMPLATES}/{name}/root/usr")

    def work() -> None:
        with templates.locked("alive-3"):
            time.sleep(60)

    pid = in_another_process(work)
    try:
        while not os.path.exists(f"{layout.LOCKS}/template-alive-3"):
            time.sleep(0.01)
        time.sleep(0.05)
        assert templates.sweep() == ["dead-1", "dead-2"]
        assert dot_names(layout.TEMPLATES) == [".new-alive-3"]
    finally:
        os.kill(pid, signal.SIGKILL)
        process.wait(pid)
    assert templates.sweep() == ["alive-3"]


def test_a_template_in_use_stays() -> None:
    key = templates.ensure(SKELETON, never)
    storage.create("thin", "overlay", key)
    storage.create("full", "directory", key)
    with pytest.raises(JailError, match="in use by thin;"):
        templates.remove(key)
    storage.remove("thin")
    templates.remove(key)
    templates.remove(key)
    assert templates.names() == []
    assert stored("full").template == key


def test_names_that_would_reach_out_are_refused() -> None:
    for name in ("", ".", "..", "../x", "a/b", ".new-x"):
        with pytest.raises(ValueError, match="cannot be the name"):
            templates.remove(name)
