# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to one system only is taken out of a tree, whatever that tree has in its place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import intree

SECRETS = (
    "etc/dropbear/dropbear_rsa_host_key",
    "etc/hostid",
    "etc/iscsi/initiatorname.iscsi",
    "etc/nvme/hostid",
    "etc/nvme/hostnqn",
    "etc/ssh/ssh_host_ed25519_key",
    "etc/ssh/ssh_host_ed25519_key.pub",
    "var/lib/NetworkManager/secret_key",
    "var/lib/dbus/machine-id",
    "var/lib/dhcpcd/duid",
    "var/lib/dhcpcd/secret",
    "var/lib/misc/random-seed",
    "var/lib/seedrng/seed.credit",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
    "var/lib/urandom/random-seed",
)
TRACES = (
    "etc/fstab",
    "etc/hostname",
    "etc/hosts",
    "etc/machine-info",
    "etc/resolv.conf",
    "etc/udev/rules.d/70-persistent-net.rules",
    "root/.bash_history",
    "root/.ssh/authorized_keys",
    "root/.ssh/known_hosts",
    "var/lib/NetworkManager/internal-1.lease",
    "var/lib/cloud/instance/user-data.txt",
    "var/lib/dhclient/dhclient.leases",
    "var/lib/dhcp/dhclient.eth0.leases",
    "var/lib/dhcpcd/eth0.lease",
    "var/log/journal/0123456789abcdef0123456789abcdef/system.journal",
)
LOGS = ("var/log/bootstrap.log", "var/log/wtmp", "var/log/apt/term.log", "var/log/nginx/access.log")
KEPT = ("etc/ssh/sshd_config", "etc/os-release", "etc/apt/apt.conf.d/70debconf", "root/.bashrc", "var/lib/dpkg/status")
MARK = "of the builder"


def forget(tree: Path) -> None:
    """What the builders do at the end."""
    with paths.opened(paths.open_directory(str(tree))) as root:
        intree.forget_identity(root)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with all of it."""
    top = tmp_path / "tree"
    for path in (*SECRETS, *TRACES, *LOGS, *KEPT, "etc/machine-id"):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(MARK)
    (top / "var/log/wtmp").chmod(0o664)
    return top


def test_nothing_of_it_is_left(tree: Path) -> None:
    """But an empty machine id, empty logs with their modes, and all that is the same everywhere."""
    forget(tree)
    left = {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}
    assert left == {**dict.fromkeys(KEPT, MARK), **dict.fromkeys(LOGS, ""), "etc/machine-id": ""}
    assert stat.S_IMODE((tree / "var/log/wtmp").stat().st_mode) == 0o664


def test_secrets_alone(tree: Path) -> None:
    """A clone keeps what is its own, but no secret of the one that it was cloned from."""
    with paths.opened(paths.open_directory(str(tree))) as root:
        intree.forget_secrets(root)
    left = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    assert left == {*TRACES, *LOGS, *KEPT, "etc/machine-id"}
    assert (tree / "etc/machine-id").read_bytes() == b""


def test_proxies_of_the_builder(tree: Path) -> None:
    """Its lines go, the others of the file stay."""
    file = tree / "etc/apt/apt.conf.d/01own"
    file.write_text(
        'Acquire::http::Proxy "http://proxy.example:3142";\n  acquire::https::proxy "DIRECT";\n'
        'Acquire::http::Proxy::m.example "DIRECT";\n'
        'Acquire::http::Proxy "x"; APT::Install-Recommends "false";'
    )
    (tree / "etc/apt/apt.conf").write_text('Acquire::ftp::Proxy "ftp://proxy.example/";')
    forget(tree)
    assert file.read_text() == 'APT::Install-Recommends "false";'
    assert (tree / "etc/apt/apt.conf").read_text() == ""


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_links_out_of_the_tree_lead_nowhere(tree: Path, tmp_path: Path, levels: int) -> None:
    """With each directory of a level replaced by a link to one of the host that has the same names in it, nothing of
    the host changes. (By name it would: the control.)"""
    outside = tmp_path / "outside"
    tree.rename(outside)
    tree.mkdir()
    for path in (*SECRETS, *TRACES, *LOGS, *KEPT):
        parts = path.split("/")[:levels]
        place = tree.joinpath(*parts)
        if not os.path.lexists(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            target = outside.joinpath(*parts)
            place.symlink_to(target if levels % 2 else f"../../../../../../../../../../../..{target}")
    before = {path: (path.stat().st_mtime_ns, path.read_text()) for path in outside.rglob("*") if path.is_file()}
    assert (tree / "etc/hostname").read_text() == MARK
    if levels == 1:
        with pytest.raises(FileNotFoundError):
            forget(tree)
    else:
        forget(tree)
    assert {
        path: (path.stat().st_mtime_ns, path.read_text()) for path in outside.rglob("*") if path.is_file()
    } == before


def test_what_is_no_file_hangs_nobody(tree: Path) -> None:
    """FIFOs and sockets where a log or a configuration is expected."""
    for path in ("var/log/fifo", "var/log/apt/fifo", "etc/apt/apt.conf.d/fifo"):
        os.mkfifo(tree / path)
    forget(tree)
    assert stat.S_ISFIFO((tree / "var/log/fifo").stat().st_mode)
