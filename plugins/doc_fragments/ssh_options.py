# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import yaml
from ansible.plugins.connection import ssh


def _without_versions(value: Any) -> Any:
    """The same without ``version_added``: those are versions of ansible-core, and here ours would be meant."""
    if isinstance(value, dict):
        return {key: _without_versions(each) for key, each in value.items() if key != "version_added"}
    return [_without_versions(each) for each in value] if isinstance(value, list) else value


class ModuleDocFragment:
    """The options of the ssh connection of the ansible-core that is installed."""

    # With its type, which tells ansible-test's yamllint apart what is no literal that it could read.
    DOCUMENTATION: str = yaml.safe_dump({"options": _without_versions(yaml.safe_load(ssh.DOCUMENTATION)["options"])})
