#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sequence_sync
short_description: Bring the sequences of a PostgreSQL database up to the rows that they number
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - A sequence that is behind the rows of its table gives numbers that are taken, and every new row is refused. That
    happens after rows were copied in with their numbers.
  - Asks the catalog which columns a sequence numbers, whatever it is called. Serial and identity columns own theirs,
    and other columns name it in their default. Rules say it for those that only the application knows.
  - Raises every sequence that is behind the highest number of all its columns, and leaves the others alone. One that is
    ahead, because rows were deleted, stays there.
  - Respects increment, direction and limits. All sequences change in one transaction, or none.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._postgresql
  - crm.continuity._docker
  - crm.continuity._profiles
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the next number of every sequence that changes.
  idempotent:
    support: full
options:
  profile:
    description:
      - Name of the profile whose rules for sequences count, such as V(chatwoot), which numbers the conversations of
        every account by a sequence of its own.
    type: str
  rules:
    description: Rules for sequences of which the catalog does not know what they number. They go before the profile's.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What is numbered, for messages.
        type: str
        required: true
      like:
        description: Regular expression that the whole name of the sequence must match.
        type: str
        required: true
      table:
        description: Table whose rows are numbered, in the schema of the sequence.
        type: str
        required: true
      column:
        description: Column that holds the number.
        type: str
        required: true
      where:
        description: Columns that must equal a named group of O(rules[].like), by the name of the group.
        type: dict
        default: {}
  exact:
    description:
      - Whether sequences that are ahead are lowered, too, so that the next number follows the last row.
      - Numbers of deleted rows are given again then, which may be known elsewhere as those of the former rows.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Mend the sequences after rows were copied in
  crm.continuity.sequence_sync:
    container: ticketz-postgres-1

- name: Include the numbers of conversations, which triggers give
  crm.continuity.sequence_sync:
    container: crm-postgres-1
    database: chatwoot_production
    profile: chatwoot

- name: Say what a sequence numbers that nobody owns
  crm.continuity.sequence_sync:
    host: db.example.com
    database: helpdesk
    rules:
      - name: tickets of a customer
        like: ticket_no_(?P<customer>\d+)
        table: tickets
        column: number
        where:
          customer_id: customer
"""

RETURN = r"""
sequences:
  description: The sequences that were changed, or would be in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    sequence:
      description: Name with schema, quoted where SQL needs it.
      type: str
      sample: public."Messages_id_seq"
    columns:
      description: Columns that it numbers.
      type: list
      elements: str
      sample: ['public."Messages" (id)']
    before:
      description: Number that it would have given next.
      type: int
    after:
      description: Number that it gives next now.
      type: int
    highest:
      description: Last number in the columns. Null without rows.
      type: int
checked:
  description: How many sequences were compared with their rows.
  returned: success
  type: int
unknown:
  description: Sequences of which neither the catalog nor a rule says what they number. They were left alone.
  returned: success
  type: list
  elements: str
remarks:
  description: Sequences that could not be mended, and why.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._database_options import DATABASE_OPTIONS, DATABASE_RULES, locate
from ..module_utils._database_rules import rules_of
from ..module_utils._module import DOCKER_OPTIONS, PROFILE_OPTIONS, load_profiles, reported_by
from ..module_utils._profile import sequence_rule
from ..module_utils._sequence_sync import Request, apply, plan

RULE_OPTIONS = {
    "name": {"type": "str", "required": True},
    "like": {"type": "str", "required": True},
    "table": {"type": "str", "required": True},
    "column": {"type": "str", "required": True},
    "where": {"type": "dict", "default": {}},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "profile": {"type": "str"},
            "rules": {"type": "list", "elements": "dict", "default": [], "options": RULE_OPTIONS},
            "exact": {"type": "bool", "default": False},
            **DATABASE_OPTIONS,
            **DOCKER_OPTIONS,
            **PROFILE_OPTIONS,
        },
        supports_check_mode=True,
        **DATABASE_RULES,
    )
    params = module.params
    with reported_by(module):
        own = tuple(sequence_rule("The option rules", rule) for rule in params["rules"])
        known = rules_of(load_profiles(module), params["profile"])
        location = locate(params)
        database = params["database"] or location.default_database
        request = Request(database, (*own, *known.sequences), params["exact"])
        found = plan(request, location)
        if found.changed and not module.check_mode:
            found = apply(request, location)
    for remark in found.remarks:
        module.warn(remark)
    module.exit_json(
        changed=bool(found.changed),
        sequences=[
            {
                "sequence": state.label,
                "columns": list(state.columns),
                "before": state.next,
                "after": state.wanted,
                "highest": state.highest,
            }
            for state in found.changed
        ],
        checked=found.checked,
        unknown=list(found.unknown),
        remarks=list(found.remarks),
        diff=found.diff(),
    )


if __name__ == "__main__":
    main()
