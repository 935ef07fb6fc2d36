# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam to Ansible: argument specification from the options, one run over many jails, check mode, diff,
results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from . import runtime
from .errors import JailError
from .jail import ages, ceiling, dedupe, imports, info, naming, network
from .jail.converge import Outcome, converge
from .jail.facet import Facet
from .jail.plan import Action
from .rootfs import prune


def run(facet: Facet) -> None:
    """Be the module of a facet, for one jail by ``name`` or for many by ``jails``."""
    _run(facet, {"type": "str"})


def run_for_names(facet: Facet) -> None:
    """Be the module of a facet whose ``name`` may be a list of jails that get the same options."""
    _run(facet, {"type": "list", "elements": "str"})


def run_info() -> None:
    """Be ``jail_info``."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str"},
            "gather": {
                "type": "list",
                "elements": "str",
                "choices": [*info.PARTS, info.TEMPLATES, info.CEILING],
                "default": list(info.USUAL_PARTS),
            },
        },
        supports_check_mode=True,
    )
    known = info.names()
    wanted = known if module.params["name"] is None else module.params["name"]
    parts = module.params["gather"]
    try:
        found = {"jails": {name: info.gather(name, parts) for name in wanted if name in known}}
        if info.TEMPLATES in parts:
            found["templates"] = info.gather_templates()
        if info.CEILING in parts:
            found["ceiling"] = ceiling.describe()
    except (JailError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


def run_prune() -> None:
    """Be ``jail_prune``."""
    module = AnsibleModule(
        argument_spec={
            "templates": {"type": "bool"},
            "cache": {"type": "bool"},
            "older_than": {"type": "str", "default": "0s"},
            "keep_newest": {"type": "bool", "default": False},
        },
        required_one_of=[("templates", "cache")],
        supports_check_mode=True,
    )
    try:
        age = ages.parse(module.params["older_than"])
    except ValueError as error:
        module.fail_json(msg=f"older_than: {error}")
    wish = prune.Wish(bool(module.params["templates"]), bool(module.params["cache"]), age, module.params["keep_newest"])
    try:
        items = prune.find(wish) if module.check_mode else prune.remove(wish)
    except (JailError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(items),
        removed=[item._asdict() for item in items],
        bytes_freed=sum(item.bytes for item in items),
        diff={"before": "".join(f"{item.kind} {item.name}\n" for item in items), "after": ""},
    )


def run_dedupe() -> None:
    """Be ``jail_dedupe``."""
    module = AnsibleModule(
        argument_spec={"name": {"type": "list", "elements": "str"}, "template": {"type": "str"}},
        supports_check_mode=True,
    )
    try:
        if not module.check_mode:
            runtime.install()
        outcomes = dedupe.share_again(module.params["name"], module.params["template"], module.check_mode)
    except (JailError, OSError) as error:
        module.fail_json(msg=str(error))
    result: dict[str, Any] = {
        "changed": any(outcome.changed for outcome in outcomes.values()),
        "jails": {name: outcome.shown() for name, outcome in outcomes.items()},
        "diff": [_shared_diff(name, outcome) for name, outcome in outcomes.items() if outcome.changed],
    }
    failures = [f"{jail}: {outcome.error}" for jail, outcome in outcomes.items() if outcome.error]
    if failures:
        module.fail_json(msg="; ".join(failures), **result)
    module.exit_json(**result)


def argument_spec(facet: Facet, name: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a facet at top level and again in ``jails``."""
    options = {option.name: option.specification() for option in facet.options}
    if facet.states:
        options["state"] = {"type": "str", "choices": list(facet.states)}
    each = {"name": {"type": "str", "required": True}, **options}
    return {"name": dict(name), **options, "jails": {"type": "list", "elements": "dict", "options": each}}


def _run(facet: Facet, name: Mapping[str, Any]) -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(facet, name),
        required_one_of=[("name", "jails")],
        mutually_exclusive=[("name", "jails")],
        supports_check_mode=True,
    )
    try:
        if not module.check_mode:
            runtime.install()
        wishes = _wishes(module.params)
        outcomes = converge(facet, wishes, module.check_mode)
        if not module.check_mode and _moves_jails(facet, wishes):
            for jail, why in naming.refresh().items():
                module.warn(f"jail {jail} does not know the other jails: {why}")
    except (JailError, OSError) as error:
        module.fail_json(msg=str(error))
    result = _result(facet, outcomes)
    failures = [f"{jail}: {outcome.error}" for jail, outcome in outcomes.items() if outcome.error]
    if failures:
        module.fail_json(msg="; ".join(failures), **result)
    module.exit_json(**result)


def _moves_jails(facet: Facet, wishes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether this may change at which addresses there are jails: also what a killed run has left is made good then."""
    return facet in (network.FACET, imports.FACET) or any(wish.get("state") == "absent" for wish in wishes)


def _wishes(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The jails of this call, each with its options; one beside ``jails`` holds where an item is silent."""
    common = {option: value for option, value in parameters.items() if option not in ("name", "jails")}
    if parameters["jails"] is None:
        names = parameters["name"] if isinstance(parameters["name"], list) else [parameters["name"]]
        return [{**common, "name": name} for name in names]
    said = [{option: value for option, value in item.items() if value is not None} for item in parameters["jails"]]
    return [{**common, **item} for item in said]


def _result(facet: Facet, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    return {
        "changed": any(outcome.actions for outcome in outcomes.values()),
        "jails": {name: _one(facet, outcome) for name, outcome in outcomes.items()},
        "diff": [_diff(facet, name, outcome.actions) for name, outcome in outcomes.items() if outcome.actions],
    }


def _one(facet: Facet, outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {
        "changed": bool(outcome.actions),
        "actions": [_shown(facet, action) for action in outcome.actions],
        "restart_required": list(outcome.restart_required),
        "degraded": list(outcome.degraded),
        **outcome.details,
    }
    if outcome.error:
        found.update(failed=True, msg=outcome.error)
    return found


def _shown(facet: Facet, action: Action) -> dict[str, Any]:
    """An action in the user's words."""
    return {
        "option": action.option,
        "before": _words(facet, action.option, action.before),
        "after": _words(facet, action.option, action.after),
        "how": action.how,
    }


def _words(facet: Facet, option: str, value: Any) -> Any:
    row = next((row for row in facet.options if row.name == option), None)
    return row.show(value) if row else value


def _diff(facet: Facet, name: str, actions: Sequence[Action]) -> dict[str, str]:
    shown = [_shown(facet, action) for action in actions]
    header = f"{name} ({facet.name})"
    return {
        "before_header": header,
        "after_header": header,
        "before": "".join(f"{item['option']}: {_text(item['before'])}\n" for item in shown),
        "after": "".join(f"{item['option']}: {_text(item['after'])}  ({item['how']})\n" for item in shown),
    }


def _shared_diff(name: str, outcome: dedupe.Outcome) -> dict[str, str]:
    header = f"{name} (shared)"
    before, after = (
        f"template: {template}\nbytes: {size}\n" for template, size in zip(outcome.template, outcome.bytes)
    )
    return {"before_header": header, "after_header": header, "before": before, "after": after}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True)
