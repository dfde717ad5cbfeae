"""De-identified documents and cohort tables over files.

A document is called by its person's code, which is random and of this run; neither the name of the file nor
that of the person goes on. Nothing is kept that leads from a code back to a file.

Errors:

    DocumentRefused           a file is not what was expected, or the table of people does not fit
"""

from __future__ import annotations

import csv
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, get_args

from postprocessing.cohort import Cohort, cohort
from postprocessing.deidentified import DeidentifiedAnalysis, Sex
from postprocessing.deidentify import Person, deidentified
from postprocessing.schema import read_deidentified, read_document

__all__ = ["DocumentRefused", "deidentified_files", "table_of"]

OLDEST = 130
_COLUMNS = ("file", "person", "age", "sex")
T = TypeVar("T")


class DocumentRefused(ValueError):  # noqa: N818  # it says what is the case, as KeyError does
    """A file cannot be used."""


@dataclass
class _People:
    """Who is in which file; without a table everybody is in one."""

    known: Mapping[str, dict[str, str]] | None
    codes: dict[str, str] = field(default_factory=dict)  # by the table's name for a person

    def of(self, file: Path) -> Person:
        """Return the person of ``file``, with a code of this run."""
        if self.known is None:
            return Person(code=secrets.token_hex(16))
        if (row := self.known.get(file.name)) is None:
            raise DocumentRefused(f"{file}: expected a line for it in the table of people, found none")
        code = self.codes.setdefault(row["person"], secrets.token_hex(16))
        return Person(code, _age(row["age"]), _sex(row["sex"]))


def deidentified_files(files: Sequence[Path], people: Path | None = None) -> dict[str, str]:
    """Return documents by name, in the order of names; ``people`` is a table of file, person, age and sex."""
    if len({file.name for file in files}) < len(files):
        raise DocumentRefused("expected files of different names; two have the same")
    who = _People(None if people is None else _table(people))
    made = [deidentified(_read(file, read_document, "pat-analysis/1"), who.of(file)) for file in files]
    return dict(_named(sorted(made, key=lambda document: document.person.code or "")))


def table_of(files: Sequence[Path], by: Sequence[str], k: int) -> Cohort:
    """Return the cohort table of de-identified documents; raises CohortRefused too."""
    return cohort([_read(file, read_deidentified, "pat-deidentified/1") for file in files], by, k)


def _named(documents: Sequence[DeidentifiedAnalysis]) -> list[tuple[str, str]]:
    number, named = Counter[str](), []
    for document in documents:
        code = document.person.code or ""
        number[code] += 1
        named.append((f"{code}-{number[code]}.json", document.model_dump_json(indent=1)))
    return named


def _read(file: Path, reader: Callable[[bytes], T], expected: str) -> T:
    try:
        return reader(file.read_bytes())
    except ValueError as error:
        raise DocumentRefused(f"{file}: expected a document of {expected}, found something else") from error


def _table(path: Path) -> dict[str, dict[str, str]]:
    try:
        rows = list(csv.DictReader(path.read_text("utf-8").splitlines(), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DocumentRefused(f"{path}: expected a CSV table in UTF-8") from error
    for row in rows:
        if set(row) != set(_COLUMNS) or None in row.values() or not row["person"]:
            raise DocumentRefused(f"{path}: expected the columns {','.join(_COLUMNS)}, with a person in each")
    if len({row["file"] for row in rows}) < len(rows):
        raise DocumentRefused(f"{path}: expected each file once")
    return {row["file"]: row for row in rows}


def _age(text: str) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= OLDEST:
        return int(text)
    raise DocumentRefused(f"the table of people: expected ages in years, 0 to {OLDEST}, or nothing")


def _sex(text: str) -> Sex | None:
    known: tuple[Sex, ...] = get_args(Sex)
    if text and text not in known:
        raise DocumentRefused(f"the table of people: expected a sex of {', '.join(known)}, or nothing")
    return next((sex for sex in known if sex == text), None)
