# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mirror of the host's packages. The sandbox of the tests has no network; who started them may have one."""

from __future__ import annotations

import contextlib
import os
import urllib.request
from collections.abc import Iterator

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods import hostapt
from ansible_collections.cellblock.jails.tests.integration.support.networks import network_namespace


@contextlib.contextmanager
def reached() -> Iterator[str]:
    """Be in the network that has a mirror, for a ``with`` block; skips the test where none answers."""
    with network_namespace(os.getppid()):
        try:
            found = hostapt.mirror()
            with urllib.request.urlopen(f"{found}/dists/bookworm/InRelease", timeout=10):
                pass
        except (JailError, OSError) as error:
            pytest.skip(f"no mirror of bookworm: {error}")
        yield found
