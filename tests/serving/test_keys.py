"""Keys: what does not open, what must not be started with, and what a new master key changes."""

import base64
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.keys import (
    KeysUnusable,
    MasterKeys,
    Place,
    Unreadable,
    Wrapped,
    new_line,
    pseudonym,
    seal,
    unseal,
)

KEY = bytes(range(32))
PLACE = Place("clinic", "p" * 32, "result", "week-1")
SAMPLE = base64.b64encode(b"0123456789abcdef" * 2).decode()
TOO_SHORT = base64.b64encode(bytes(range(31))).decode()


def keys_file(folder, *lines, mode=0o400):
    path = folder / "master.keys"
    path.unlink(missing_ok=True)
    path.write_text("\n".join(lines))
    path.chmod(mode)
    return path


@given(st.binary(max_size=200))
def test_what_was_sealed_opens_and_is_never_sealed_twice_alike(value):
    one, other = seal(KEY, value, PLACE), seal(KEY, value, PLACE)
    assert one != other
    assert unseal(KEY, one, PLACE) == unseal(KEY, other, PLACE) == value


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Place)])
def test_what_was_moved_does_not_open(field):
    moved = dataclasses.replace(PLACE, **{field: "elsewhere"})
    with pytest.raises(Unreadable):
        unseal(KEY, seal(KEY, b"value", PLACE), moved)


def test_parts_of_a_place_do_not_run_into_each_other():
    assert Place("a", "b", "c", "d").bound() != Place("ab", "", "c", "d").bound()
    assert Place('a","b', "c", "d", "").bound() != Place("a", "b", "c", "d").bound()


def test_no_flipped_bit_and_no_shorter_value_opens():
    sealed = seal(KEY, b"value", PLACE)
    for at in range(len(sealed)):
        with pytest.raises(Unreadable):
            unseal(KEY, sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], PLACE)
        with pytest.raises(Unreadable):
            unseal(KEY, sealed[:at], PLACE)
    with pytest.raises(Unreadable):
        unseal(bytes(32), sealed, PLACE)


def test_master_keys_are_read_the_current_one_first(tmp_path):
    old, new = new_line("2025"), new_line("2026")
    keys = MasterKeys.read(keys_file(tmp_path, "# ours", new, "", old))
    assert keys.current == "2026"
    assert keys.wrap(KEY).by == "2026"
    before = MasterKeys.read(keys_file(tmp_path, old)).wrap(KEY)
    assert keys.unwrap(before) == keys.unwrap(keys.wrap(KEY)) == KEY
    assert list(keys.derived("audit")) == ["2026", "2025"]
    assert keys.derived("audit")["2026"] != keys.derived("other")["2026"] != keys.secrets["2026"]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "holds none"),
        (["# nothing"], "holds none"),
        (["a not-base64!"], "line 1"),
        (["a"], "line 1"),
        ([f"a {TOO_SHORT}"], "32 bytes"),
        ([f"A {base64.b64encode(KEY).decode()}"], "expected a name"),
        ([f"a {base64.b64encode(bytes(32)).decode()}"], "not random"),
        ([f"a {base64.b64encode(b'changeme' * 4).decode()}"], "not random"),
        ([f"a {base64.b64encode(KEY).decode()}", f"b {base64.b64encode(KEY).decode()}"], "line 2"),
    ],
)
def test_weak_and_sample_keys_are_refused_by_line_and_never_repeated(tmp_path, lines, why):
    with pytest.raises(KeysUnusable, match=why) as refused:
        MasterKeys.read(keys_file(tmp_path, *lines))
    assert not any(len(word) > 12 and word in str(refused.value) for line in lines for word in line.split())


def test_a_file_that_others_may_read_is_refused(tmp_path):
    for mode in (0o440, 0o404, 0o644):
        with pytest.raises(KeysUnusable, match="chmod"):
            MasterKeys.read(keys_file(tmp_path, new_line("a"), mode=mode))
    with pytest.raises(KeysUnusable, match="cannot be read"):
        MasterKeys.read(tmp_path / "nothing")


def test_a_wrapped_key_opens_with_its_master_key_only(tmp_path):
    one = MasterKeys.read(keys_file(tmp_path, new_line("a")))
    other = MasterKeys.read(keys_file(tmp_path, new_line("a")))
    third = MasterKeys.read(keys_file(tmp_path, new_line("c")))
    for wrong in (other, third):
        with pytest.raises(Unreadable):
            wrong.unwrap(one.wrap(KEY))
    assert one.unwrap(Wrapped.of(one.wrap(KEY).text())) == KEY
    for damaged in (b"", b"a", b"a:!", b"\xff:AAAA", b"a:AAAA"):
        with pytest.raises(Unreadable):
            one.unwrap(Wrapped.of(damaged))


def test_keys_show_nowhere(tmp_path):
    keys = MasterKeys.read(keys_file(tmp_path, new_line("a")))
    for shown in (repr(keys), repr(keys.wrap(KEY))):
        assert "bytes" not in shown
        assert "\\x" not in shown


def test_a_pseudonym_needs_the_pepper_and_tells_tenants_apart():
    assert pseudonym(KEY, "a", "bc") == pseudonym(KEY, "a", "bc")
    assert pseudonym(KEY, "a", "bc") != pseudonym(KEY, "ab", "c")
    assert pseudonym(KEY, "a", "bc") != pseudonym(bytes(32), "a", "bc")
    assert len(pseudonym(KEY, "a", "bc")) == 32
