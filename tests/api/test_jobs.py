"""The lines of a job's body, as they come; and whom a caller is told of, once each and on the record."""

import hashlib
import json
from types import SimpleNamespace

import pytest

from api.access import Access
from api.job_access import Askers, access_of, owner_of
from api.job_lines import LINE_BYTES, Lines, head_of
from api.keeping import Keeping
from preprocessing.recording import RecordingError
from serving.auth import Caller, Role
from serving.job_shelf import Owner
from serving.policy import Relation, Verb

pytestmark = pytest.mark.fhir


async def chunks(*parts):
    for part in parts:
        yield part


async def lines_of(*parts):
    lines = Lines(chunks(*parts))
    return [line async for batch in lines.batches() for line in batch], lines


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_lines_are_the_same_however_they_come(size):
    body = b'{"a": 1}\n\n  \r\n{"b": 2}\r\n{"c": 3}'
    found, lines = await lines_of(*(body[at : at + size] for at in range(0, len(body), size)))
    assert [(number, json.loads(line)) for number, line in found] == [
        (1, {"a": 1}),
        (4, {"b": 2}),
        (5, {"c": 3}),
    ]
    assert lines.digest == hashlib.sha256(body).hexdigest()


async def test_a_line_without_an_end_is_refused_before_it_fills_the_memory():
    came = 0

    async def endless():
        nonlocal came
        yield b"{}\n"
        while True:
            came += 100_000
            yield b"x" * 100_000

    with pytest.raises(RecordingError) as refused:
        async for _ in Lines(endless()).batches():
            pass
    assert refused.value.where == "line 2"
    assert came <= LINE_BYTES + 200_000


async def test_lines_come_in_batches_of_a_bounded_size():
    lines = Lines(chunks(*[b"x" * 900_000 + b"\n"] * 10, *[b"{}\n"] * 200))
    sizes = [(len(batch), sum(len(line) for _, line in batch)) async for batch in lines.batches()]
    assert max(count for count, _ in sizes) == 50
    assert max(size for _, size in sizes) < 2_000_000


async def test_a_body_that_is_only_looked_at_has_the_digest_of_one_that_is_taken():
    lines = Lines(chunks(b"{}", b"\n{}"))
    assert await lines.drain() == hashlib.sha256(b"{}\n{}").hexdigest()


@pytest.mark.parametrize(
    ("line", "where"),
    [
        (b"[]", "line 3"),
        (b'"x"', "line 3"),
        (b'{"a": NaN}', "line 3"),
        (b'{"a": 1, "a": 2}', "line 3"),
        (b"{" * 40, "line 3"),
        (b'{"id": 7}', "line 3.id"),
        (b'{"id": "%s"}' % (b"x" * 129), "line 3.id"),
        (b'{"subject": ""}', "line 3.subject"),
        (b'{"subject": ["anna"]}', "line 3.subject"),
    ],
)
def test_what_is_no_item_is_refused_by_its_line_and_not_repeated(line, where):
    with pytest.raises(RecordingError) as refused:
        head_of(line, 3)
    assert refused.value.where == where
    assert "anna" not in str(refused.value)


def test_a_head_is_who_and_what_and_leaves_the_rest():
    head = head_of(b'{"id": "a", "subject": "Patient/anna", "values": "whatever"}', 1)
    assert (head.id, head.whose) == ("a", "anna")
    assert head_of(b"{}", 1).whose == ""


class Subjects:
    def __init__(self):
        self.asked = []

    def pseudonym(self, tenant, subject):
        return f"pseudonym of {subject}"

    def relation(self, tenant, uid, subject):
        self.asked.append(subject)
        return Relation.CARE if subject.startswith("mine") else Relation.NONE


class Trail:
    def __init__(self):
        self.events = []

    async def record(self, event):
        self.events.append(event)


@pytest.fixture
def subjects():
    return Subjects()


@pytest.fixture
def access(subjects):
    caller = Caller("u-1", "clinic", frozenset({Role.CLINICIAN}), "", 5, "t" * 16)
    return Access(Verb.READ_JOB, caller, subjects)


@pytest.fixture
def keeping():
    return Keeping(None, None, Trail(), None)


async def test_each_subject_is_asked_about_once(access, subjects):
    askers = Askers(access)
    for _ in range(3):
        assert await askers.may("mine-1")
        assert not await askers.may("hidden")
        assert await askers.may("")
    assert subjects.asked == ["mine-1", "hidden"]


async def test_of_one_subject_the_request_s_own_record_tells(access, keeping):
    askers = Askers(access)
    await askers.may("mine-1")
    await askers.record(keeping, {"mine-1": 4})
    assert keeping.trail.events == []
    assert (access.subject, access.decision.reason) == ("pseudonym of mine-1", "ok")


async def test_of_several_and_of_each_refused_there_is_a_record(access, keeping):
    askers = Askers(access)
    for subject in ("mine-1", "mine-2", "hidden"):
        await askers.may(subject)
    await askers.record(keeping, {"mine-1": 4, "mine-2": 1})
    found = [(e.subject, e.outcome, e.reason, e.records, e.verb) for e in keeping.trail.events]
    assert sorted(found) == [
        ("pseudonym of hidden", 4, "no_relation", 0, "read_job"),
        ("pseudonym of mine-1", 0, "ok", 4, "read_job"),
        ("pseudonym of mine-2", 0, "ok", 1, "read_job"),
    ]
    assert access.subject == ""


async def test_where_nobody_is_asked_all_may_and_nothing_is_recorded(keeping):
    askers = Askers(None)
    assert await askers.may("anybody")
    await askers.record(keeping)
    assert keeping.trail.events == []
    assert owner_of(None) == Owner()


def test_the_caller_of_a_job_is_the_same_later(access):
    owner = owner_of(access)
    later = access_of(owner, SimpleNamespace(vault=None))
    assert later.caller == access.caller
    assert later.verb is Verb.ANALYZE
