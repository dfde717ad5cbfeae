"""What docs/security.md says is what the code does, and every file it names is there."""

import re

from api.guard import ROUTES
from serving.auth import Role
from serving.policy import POLICY
from tests.shared import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()


def rows(heading):
    table = PAGE.split(heading)[1].split("\n\n")
    lines = next(part for part in table if part.startswith("|")).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_of_roles_is_the_policy():
    head, _, *body = rows("## Who may do what")
    assert head[1:] == [role.value for role in Role]
    found = {
        row[0]: {role: cell for role, cell in zip(head[1:], row[1:], strict=True) if cell != "-"}
        for row in body
    }
    assert found == {
        verb.value: {role.value: scope.value for role, scope in rule.items()} for verb, rule in POLICY.items()
    }


def test_verbs_without_a_route_are_said_to_have_none():
    without = [verb.value for verb in POLICY if verb not in ROUTES.values()]
    said = next(line for line in PAGE.splitlines() if "do not exist yet" in line)
    assert re.findall(r"`([a-z_]+)`", said.split("do not")[0]) == without


def test_every_file_that_is_named_is_there():
    names = re.findall(r"`((?:serving|api|models|tests)/[\w/]+\.py)`", PAGE)
    assert len(names) > 12
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_nobody_is_promised_compliance():
    assert "compliant" not in PAGE.lower()
