# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules through Ansible itself, as a user calls them from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.tests.integration.support.calls import ROOT, inside, jail, module


def ansible(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Ansible's in the checkout."""
    environment = {**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1"}
    program = os.path.join(os.path.dirname(sys.executable), words[0])
    return subprocess.run(
        [program, *words[1:]], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def adhoc(module_name: str, options: dict[str, Any], *words: str) -> dict[str, Any]:
    """The result of one ad-hoc call."""
    done = ansible("ansible", "localhost", "-m", module_name, "-a", json.dumps(options), *words)
    result: dict[str, Any] = json.loads(done.stdout.partition("=> ")[2])
    return result


@pytest.mark.parametrize("prefix", ["cellblock.jails.", ""])
def test_ad_hoc_by_long_and_short_name(box: str, prefix: str) -> None:
    """``ansible localhost -m MODULE`` works by the full name, and by the short one in the checkout; check mode too."""
    foretold = adhoc(f"{prefix}jail_limits", {"name": box, "memory_max": "64M"}, "--check")
    assert foretold["changed"]
    done = adhoc(f"{prefix}jail_limits", {"name": box, "memory_max": "64M"})
    assert done["jails"] == foretold["jails"]
    assert not adhoc(f"{prefix}jail_limits", {"name": box, "memory_max": "64M"})["changed"]


def test_ad_hoc_by_words(box: str) -> None:
    """Options may be written as ``key=value``, as the README does."""
    done = ansible("ansible", "localhost", "-m", "jail_state", "-a", f"name={box} state=restarted")
    assert json.loads(done.stdout.partition("=> ")[2])["jails"][box]["actions"][0]["how"] == "restart"


def test_a_bare_host_gets_the_whole_runtime_by_one_call(box: str) -> None:
    """A module that Ansible sends leaves the same ``jail`` command as the checkout's files do: all of it travels."""
    adhoc("jail_limits", {"name": box, "pids_max": "77"})
    sent = {path.relative_to(layout.RUNTIME).parts[1:] for path in Path(layout.RUNTIME).rglob("*.py")}
    source = Path(ROOT, "plugins", "module_utils")
    ours = {("cellblock_jails", *path.relative_to(source).parts) for path in source.rglob("*.py")}
    assert sent == ours | {("cellblock_jails", "__init__.py")}
    assert len(os.listdir(layout.RUNTIME)) == 1
    assert inside(box, "echo", "works") == "works\n"
    module("jail_limits", name=box, pids_max="78")
    assert len(os.listdir(layout.RUNTIME)) == 1
    assert jail("ls").returncode == 0


def test_a_play_with_check_and_diff(box: str, tmp_path: Path) -> None:
    """A play's ``--check --diff`` prints what its run then does, and changes nothing; ``module_defaults`` takes the
    collection's group."""
    play = tmp_path / "play.yml"
    play.write_text(
        f"""
- hosts: localhost
  gather_facts: false
  module_defaults:
    group/cellblock.jails.all: {{}}
  tasks:
    - cellblock.jails.jail_limits: {{name: {box}, memory_max: 64M}}
    - cellblock.jails.jail_state: {{name: {box}, hostname: played}}
""",
        encoding="utf-8",
    )
    foretold = ansible("ansible-playbook", str(play), "--check", "--diff")
    assert "memory_max: 64M  (live)" in foretold.stdout
    assert "hostname: played  (live)" in foretold.stdout
    assert inside(box, "hostname") == f"{box}\n"
    done = ansible("ansible-playbook", str(play), "--diff")
    assert done.stdout.count("changed=2") == 1
    assert inside(box, "hostname") == "played\n"
    assert "changed=0" in ansible("ansible-playbook", str(play)).stdout


def test_an_error_is_a_failed_task_with_the_reason(box: str) -> None:
    """Ansible shows the message, and no trace of our code."""
    done = ansible("ansible", "localhost", "-m", "jail_limits", "-a", f"name={box} memory_max=lots")
    assert done.returncode == 2
    assert f"{box}: memory_max: 'lots' is not a size" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
