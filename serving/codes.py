"""Research codes: a random name of a subject for one project, and the way back for who must find the subject.

A code is not computed from anything (45 CFR 164.514(c)): it leads to nobody without what is kept here, and
says nothing about the code of the same subject in another project. Code and subject are sealed together under
the subject's own key, and there is no other record of which belongs to which: the way back opens the codes of
a project one after the other. With the subject's key both are gone.
"""

from __future__ import annotations

import json
import secrets

from serving.keys import Unreadable
from serving.store import Subject, Vault

__all__ = ["RESEARCH_CODE", "Codes"]

RESEARCH_CODE = "research-code"  # what is kept of a subject
_CODE_BYTES = 16


class Codes:
    """Codes in the vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def code(self, tenant: str, project: str, subject: str) -> str:
        """Return the code of ``subject`` in ``project``, made now if there is none.

        Callers at the same time get the same. Raises StoreUnavailable or Unreadable.
        """
        at, name = self._vault.subject(tenant, subject), self._name(tenant, project)
        if (kept := self._vault.get(at, RESEARCH_CODE, name)) is None:
            made = {"project": project, "subject": subject, "code": secrets.token_hex(_CODE_BYTES)}
            self._vault.add(at, RESEARCH_CODE, name, json.dumps(made).encode())
            kept = self._vault.get(at, RESEARCH_CODE, name)
        if kept is None:
            raise Unreadable("a research code was deleted while it was made; try again")
        return str(json.loads(kept)["code"])

    def subject(self, tenant: str, project: str, code: str) -> str | None:
        """Return the subject that ``code`` stands for; None if for none, or none any more.

        Raises StoreUnavailable, or Unreadable if it may stand for one whose code does not open.
        """
        name, unreadable = self._name(tenant, project), None
        for at in self._vault.having(tenant, RESEARCH_CODE, name):
            try:
                if (found := self._opened(at, name, code)) is not None:
                    return found
            except Unreadable as error:
                unreadable = error
        if unreadable is not None:
            raise unreadable
        return None

    def _opened(self, at: Subject, name: str, code: str) -> str | None:
        kept = self._vault.get(at, RESEARCH_CODE, name)
        made = {} if kept is None else json.loads(kept)
        return str(made["subject"]) if made.get("code") == code else None

    def _name(self, tenant: str, project: str) -> str:
        """Return what a tenant's project is called at rest: not its name, which may tell of an illness."""
        return self._vault.subject(tenant, f"research project {project}").pseudonym
