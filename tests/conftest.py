# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox of all tests that make jails, and jails of busybox."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from ansible_collections.cellblock.jails.tests.breakout.support.table import Table
from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name, make_boxes
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, module, nursery


def pytest_addoption(parser: pytest.Parser) -> None:
    """The table of what is tried to break out."""
    parser.addoption(
        "--breakout-table", action="store_true", help="run the tests of breaking out and print their table"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Print it where it is asked for. And no test fails for having been slow: the machine may be busy."""
    hypothesis.settings.register_profile("busy", deadline=None)
    hypothesis.settings.load_profile("busy")
    if config.getoption("--breakout-table"):
        config.pluginmanager.register(Table())


@pytest.fixture(scope="session")
def sandboxed() -> Iterator[None]:
    """The tests run in the sandbox; after the last one nothing may be left of any jail."""
    if os.geteuid() != 0:
        pytest.skip("only root can make jails")
    place = sandbox.entered()
    try:
        place.__enter__()
    except OSError as error:
        pytest.skip(f"this host does not let us into a mount and a network namespace of our own: {error}")
    ended = signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleaned up as after Ctrl-C
    try:
        # The first call puts the runtime there, so that tests which look for what changed do not see that.
        module("jail_state", name=[f"{sandbox.PREFIX}0"], state="absent")
        yield
        nursery().close()
        sandbox.clear_killed_builds()
        left = {
            "control groups": sandbox.groups(),
            "processes": sandbox.processes(),
            "network devices": sandbox.devices(),
            "mounts": sandbox.mount_points(),
            "loop devices": sandbox.images_in_use(),
        }
        sandbox.clear()
        assert not any(left.values()), f"the tests left behind {left}"
    finally:
        signal.signal(signal.SIGTERM, ended)
        place.__exit__(None, None, None)


@pytest.fixture
def name() -> Iterator[str]:
    """A name for a jail; what bears it at the end is removed."""
    given = fresh_name()
    yield given
    attempt("jail_state", name=[given], state="absent")


@pytest.fixture
def names() -> Iterator[Callable[[int], list[str]]]:
    """Names for several jails."""
    given: list[str] = []

    def more(number: int) -> list[str]:
        fresh = [fresh_name() for _each in range(number)]
        given.extend(fresh)
        return fresh

    yield more
    attempt("jail_state", name=given, state="absent")


@pytest.fixture
def box(name: str) -> str:
    """The name of a running jail of busybox for one test."""
    make_boxes([name])
    return name


@pytest.fixture(scope="module")
def shared_box() -> Iterator[str]:
    """The name of a running jail of busybox for the tests of one file that leave it as it is."""
    given = fresh_name()
    make_boxes([given])
    yield given
    attempt("jail_state", name=[given], state="absent")


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a program that makes one system call, see ``probe.c``."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    path = str(tmp_path_factory.mktemp("probe") / "probe")
    source = Path(__file__).parent / "integration" / "support" / "probe.c"
    subprocess.run([compiler, "-static", "-Wall", "-Wextra", "-Werror", "-O1", "-o", path, str(source)], check=True)
    return path
