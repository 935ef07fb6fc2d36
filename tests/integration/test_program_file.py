# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jail whose root is the host's cannot overwrite the program that starts or enters it (CVE-2019-5736).

The attacked program is a copy of the host's Python: when the attack works, that is what it overwrites.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    PYTHON,
    ROOT,
    arguments,
    attempt,
    command_line,
    inside,
    jail,
    module,
    pid_of,
    refused,
    shell,
)

pytestmark = pytest.mark.row(13)

_SCRIPT = "#!/proc/self/exe\n"

_UNPROTECTED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import namespaces, process
target = os.pidfd_open(int(sys.argv[2]))
kinds = [kind for kind in namespaces.KINDS if not namespaces.is_own(int(sys.argv[2]), kind)]
namespaces.setns(target, sum(namespaces.KINDS[kind] for kind in kinds))
process.wait(process.fork(lambda: os.execv("/evil", ["/evil"])))
"""
"""Go into a jail as the launcher does, but from a program file that can be written."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A copy of the interpreter with which the ``jail`` command runs."""
    copy = tmp_path_factory.mktemp("python") / "python3"
    shutil.copyfile(Path(PYTHON).resolve(), copy)
    copy.chmod(0o755)
    done = subprocess.run([copy, "-I", "-c", "import json"], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"a copy of {PYTHON} does not run: {done.stderr.decode()}")
    return str(copy)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library with the attack, see ``preload.c``."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    path = str(tmp_path_factory.mktemp("preload") / "evil.so")
    source = str(Path(__file__).with_name("support") / "preload.c")
    options = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-O1"]
    subprocess.run([compiler, *options, "-o", path, source], check=True)
    return path


@pytest.fixture
def hostile(library: str) -> Iterator[str]:
    """A running jail in the host's user namespace, with the libraries that Python needs, and the attack in its way."""
    name = f"{sandbox.PREFIX}exe"
    try:
        module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", PYTHON], trust_group="exe")
        module("jail_state", name=[name], command=["sleep", "100000"], userns="host", state="started")
        done = jail("exec", name, "--", "sh", "-c", "cat > /root/evil.so", given=Path(library).read_bytes())
        assert done.returncode == 0
        done = jail("exec", name, "--", "sh", "-c", "cat > /evil; chmod 755 /evil", given=_SCRIPT.encode())
        assert done.returncode == 0
        shell(name, "echo /root/evil.so > /etc/ld.so.preload")
        yield name
    finally:
        attempt("jail_state", name=[name], state="absent")


def _answer(name: str) -> str:
    """How the attack ended: with ``written``, or with why it could not."""
    for _try in range(200):
        processes = inside(name, "ps", "-o", "args")
        if "until printf" not in processes:
            return shell(name, "cat /root/answer; rm -f /root/answer")
        time.sleep(0.1)
    raise AssertionError(f"the attack hangs: {processes}")


def test_unprotected_it_is_overwritten(hostile: str, python: str, tmp_path: Path) -> None:
    """The control: a launcher of the same kind, run from an ordinary file, loses that file to the jail."""
    victim = tmp_path / "python3"
    shutil.copy(python, victim)
    subprocess.run([victim, "-I", "-c", _UNPROTECTED, f"{ROOT}/.collections", str(pid_of(hostile))], check=True)
    assert _answer(hostile) == "written\n"
    assert victim.read_bytes().startswith(b"owned")


def test_who_enters_is_not_overwritten(hostile: str, python: str) -> None:
    """``jail exec`` of the same program leaves the file as it was: its mount is read-only, for the host's root too."""
    before = Path(python).read_bytes()
    subprocess.run([python, "-I", layout.COMMAND, "exec", hostile, "--", "/evil"], check=False, timeout=60)
    assert "Read-only file system" in _answer(hostile)
    assert Path(python).read_bytes() == before


def test_who_starts_is_not_overwritten(hostile: str, python: str) -> None:
    """Nor does a start of it as the first process, by command and by module."""
    before = Path(python).read_bytes()
    module("jail_state", name=[hostile], command=["/evil"], state="stopped")
    subprocess.run([python, "-I", layout.COMMAND, "start", hostile], check=True, timeout=60)
    assert "Read-only file system" in _answer(hostile)
    assert Path(python).read_bytes() == before
    command = [python, *command_line("jail_state")[1:]]
    given = arguments({"name": [hostile], "state": "restarted"})
    subprocess.run(command, input=given, text=True, check=True, capture_output=True, timeout=60)
    assert "Read-only file system" in _answer(hostile)
    assert Path(python).read_bytes() == before


def test_with_ids_of_its_own_it_is_nobody_to_that_file(hostile: str, python: str) -> None:
    """In a jail with a user namespace the same attack is refused by the file's owner, protected or not."""
    module("jail_state", name=[hostile], userns="auto", command=["sleep", "100000"], state="restarted")
    subprocess.run([python, "-I", layout.COMMAND, "exec", hostile, "--", "/evil"], check=False, timeout=60)
    assert "Permission denied" in _answer(hostile)


def test_an_error_of_such_a_start_is_as_any_other(hostile: str) -> None:
    """It comes from a process apart; its words, option and advice arrive."""
    message = refused("jail_state", name=[hostile], masked_paths={"add": ["/srv/missing"]}, state="restarted")
    assert message.startswith(f"{hostile}: starting failed: ")
    assert "/srv/missing" in message
