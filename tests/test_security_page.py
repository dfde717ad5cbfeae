"""What docs/security.md says is what the code does, and every file it names is there."""

import re

from api.routes import ROUTES
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


def test_every_verb_has_a_route_and_every_route_of_subjects_and_accounts_a_row():
    assert set(ROUTES.values()) == set(POLICY)
    said = {
        path
        for row in rows("## Subjects")[2:]
        for path in re.findall(r"`[A-Z]+ (/[^`]+)`|`(/[^`]+)`", row[0])
    }
    named = {one or other for one, other in said}
    assert {path for _, path in ROUTES if path.startswith("/v1/") and "recordings" not in path} - named == {
        "/v1/embed"
    }


def test_every_file_that_is_named_is_there():
    names = re.findall(r"`((?:serving|api|models|tests)/[\w/]+\.py)`", PAGE)
    assert len(names) > 12
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_nobody_is_promised_compliance():
    assert "compliant" not in PAGE.lower()
