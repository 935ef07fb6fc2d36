# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack programs, and jails that have them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.tests.breakout.support import cells, programs
from ansible_collections.cellblock.jails.tests.breakout.support.cells import Cell
from ansible_collections.cellblock.jails.tests.breakout.support.meter import PORT, Latency, Meter
from ansible_collections.cellblock.jails.tests.breakout.support.outside import Chroot
from ansible_collections.cellblock.jails.tests.breakout.support.programs import Programs
from ansible_collections.cellblock.jails.tests.breakout.support.table import Record
from ansible_collections.cellblock.jails.tests.integration.support import evidence
from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt

_SECONDS = 1.5


@pytest.fixture(scope="session", autouse=True)
def _in_the_sandbox(sandboxed: None) -> None:
    """Before the first test."""


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """The attack programs."""
    try:
        return programs.compiled(tmp_path_factory.mktemp("programs"))
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def cell(compiled: Programs) -> Iterator[Cell]:
    """A running default jail with the attack programs, for the tests of one file."""
    name = fresh_name()
    try:
        yield cells.made(name, compiled)
    finally:
        attempt("jail_state", name=[name], state="absent")


@pytest.fixture(scope="module")
def neighbour(compiled: Programs) -> Iterator[Cell]:
    """Another one."""
    name = fresh_name()
    try:
        yield cells.made(name, compiled)
    finally:
        attempt("jail_state", name=[name], state="absent")


@pytest.fixture(scope="session")
def chroot(compiled: Programs, tmp_path_factory: pytest.TempPathFactory) -> Chroot:
    """A plain chroot, for controls."""
    return Chroot(tmp_path_factory.mktemp("chroot"), compiled.attack)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file of the host that every attack is after; it has to stay as it is."""
    file = tmp_path / "canary"
    file.write_text("the host's\n", encoding="ascii")
    before = evidence.files(str(tmp_path))[str(file)]
    yield file
    assert evidence.files(str(tmp_path))[str(file)] == before


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the host."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    alive = process.poll() is None
    process.kill()
    process.wait()
    assert alive


@pytest.fixture(scope="module")
def server(compiled: Programs) -> Iterator[Cell]:
    """The neighbour."""
    name = fresh_name()
    try:
        yield cells.made(name, compiled, command=[compiled.server, str(PORT)])
    finally:
        attempt("jail_state", name=[name], state="absent")


@pytest.fixture(scope="module")
def before(server: Cell) -> Latency:
    """How it answers in peace."""
    return Meter(server.name).measure(_SECONDS)


def _measured(server: Cell, before: Latency, record: Record) -> AbstractContextManager[list[Latency]]:
    """How it answers during a ``with`` block, noted for the table."""
    return Meter(server.name).noting(record, lambda found: f"the neighbour answers in {found}; in peace in {before}")


@pytest.fixture
def observed(server: Cell, before: Latency, record_property: Record) -> Iterator[None]:
    """How the neighbour answers during the test is noted."""
    with _measured(server, before, record_property):
        yield


@pytest.fixture
def during(server: Cell, before: Latency, record_property: Record) -> Iterator[None]:
    """The neighbour answers during the test as it does in peace, or nearly so: this machine may be busy otherwise."""
    with _measured(server, before, record_property) as found:
        yield
    assert found[0].failures == 0
    assert found[0].slow < max(20 * before.slow, 250)
