"""Apple Health's export: step counts out of gigabytes of XML that may be broken or a trap."""

from __future__ import annotations

import io
import random
import tracemalloc
import zipfile
from datetime import date

import numpy as np
import pytest

from preprocessing.merging import SOURCES, Source
from preprocessing.readers import apple_export
from preprocessing.readers.hints import NO_HINTS, Hints
from preprocessing.recording import Flag, RecordingError, Refusal
from preprocessing.units import Device, Unit, WearSite
from tests.preprocessing.damage import outcomes

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
DOCTYPE = """<!DOCTYPE HealthData [
<!-- Our own example; it doesn't say which version of the phone's "export" wrote it -->
<!ELEMENT HealthData (ExportDate,Me,(Record|Correlation|Workout)*)>
<!ATTLIST HealthData
  locale CDATA #REQUIRED
>
<!ELEMENT Record ((MetadataEntry)*)>
<!ATTLIST Record
  type CDATA #REQUIRED
  unit CDATA #IMPLIED
>
]>
"""
HEAD = """<HealthData locale="en_GB">
 <ExportDate value="2024-03-09 09:00:00 +0100"/>
 <Me HKCharacteristicTypeIdentifierDateOfBirth="1980-02-03"/>
"""
WATCH = "&lt;&lt;HKDevice: 0x28{:x}&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch&gt;"
PHONE = "&lt;&lt;HKDevice: 0x28{:x}&gt;, name:iPhone, manufacturer:Apple Inc., model:iPhone&gt;"
STEPS = "HKQuantityTypeIdentifierStepCount"
HEART_RATE = (
    ' <Record type="HKQuantityTypeIdentifierHeartRate" sourceName="Watch" unit="count/min" '
    'startDate="2024-03-04 08:00:10 +0100" endDate="2024-03-04 08:00:10 +0100" value="61"><MetadataEntry '
    'key="HKMetadataKeyHeartRateMotionContext" value="0"/></Record>\n'
)


def record(
    minute: int, steps: object, *, source: str = "Doe's Watch", device: str = WATCH, **other: str
) -> str:
    """One step count over a minute from 08:00; ``other`` replaces attributes and adds what is ``inside``."""
    inside = other.pop("inside", "")
    attributes = {
        "type": STEPS,
        "sourceName": source,
        "device": device.format(minute),
        "unit": "count",
        "creationDate": "2024-03-04 09:30:00 +0100",
        "startDate": f"2024-03-04 {8 + minute // 60:02d}:{minute % 60:02d}:00 +0100",
        "endDate": f"2024-03-04 {8 + (minute + 1) // 60:02d}:{(minute + 1) % 60:02d}:00 +0100",
        "value": str(steps),
        **other,
    }
    text = " ".join(f'{name}="{content}"' for name, content in attributes.items())
    return f" <Record {text}>{inside}</Record>\n" if inside else f" <Record {text}/>\n"


def note(key: str, value: str) -> str:
    return f'<MetadataEntry key="{key}" value="{value}"/>'


def export(*records: str, doctype: str = DOCTYPE) -> bytes:
    return f"{DECLARATION}{doctype}{HEAD}{''.join(records)}</HealthData>\n".encode()


def example() -> bytes:
    """Four minutes: a watch, a phone that overlaps it, a minute typed in, other quantities and a repeat."""
    return export(
        record(0, 30),
        HEART_RATE,
        record(1, 0),
        record(1, 55, source="Doe's phone", device=PHONE),
        record(2, 41, source="Doe's phone", device=PHONE),
        record(3, 12, source="Health", device="", inside=note("HKWasUserEntered", "1")),
        f' <Correlation type="HKCorrelationTypeIdentifierFood">\n{record(5, 99)} </Correlation>\n',
        ' <Workout workoutActivityType="HKWorkoutActivityTypeWalking"><WorkoutStatistics '
        f'type="{STEPS}" sum="500"/></Workout>\n',
    )


def archive(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as writer:
        for name, content in members:
            writer.writestr(name, content)
    return file.getvalue()


def refusal(data: bytes, hints: Hints = NO_HINTS) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        apple_export.read(data, hints)
    return refused.value


def same(one: object, other: object) -> bool:
    return repr(one) == repr(other)


def test_an_export_becomes_the_steps_of_each_minute():
    found = apple_export.read(example(), NO_HINTS)
    assert found.values.tolist() == [30, 0, 41, 12]
    assert (found.start.isoformat(), found.zone) == ("2024-03-04T08:00:00+01:00", "+01:00")
    assert (found.unit, found.epoch_seconds, found.wear) == (Unit.STEPS, 60, None)
    assert (found.device, found.wear_site) == (Device.UNKNOWN, WearSite.UNKNOWN)
    assert (found.source_format, found.travel) == ("apple-health-export", ())
    assert Flag.UNVERIFIED_FORMAT in found.flags


def test_each_minute_says_which_kind_of_source_gave_it():
    found = apple_export.read(example(), NO_HINTS)
    assert found.source is not None
    kinds = [SOURCES[index] for index in found.source]
    assert kinds == [Source.WATCH, Source.WATCH, Source.PHONE, Source.MANUAL]


def test_the_device_tells_the_source_better_than_the_name_that_people_choose():
    data = export(
        record(0, 1, source="My phone", device=WATCH), record(1, 2, source="Polar watch", device="")
    )
    found = apple_export.read(data, NO_HINTS)
    assert found.source is not None
    assert [SOURCES[index] for index in found.source] == [Source.WATCH, Source.WATCH]


def test_the_priority_of_sources_can_be_chosen():
    found = apple_export.read(example(), Hints(source_priority=(Source.PHONE, Source.WATCH)))
    assert found.values.tolist() == [30, 55, 41, 12]


def test_other_quantities_are_counted_and_repeats_inside_correlations_are_not():
    assert apple_export.read(example(), NO_HINTS).tidying.set_aside == 1


def test_the_person_and_the_devices_are_not_kept():
    found = apple_export.read(example(), Hints(zone="Europe/Berlin"))
    assert not any(word in repr(found) for word in ("Doe", "1980", "HKDevice", "Apple"))


def test_a_file_reads_as_its_bytes_do(tmp_path):
    path = tmp_path / "export.xml"
    path.write_bytes(example())
    assert same(apple_export.read_file(path, NO_HINTS), apple_export.read(example(), NO_HINTS))


def test_order_and_copies_change_nothing_but_their_counts():
    records = [record(k, k % 7, device=PHONE if k % 3 else WATCH) for k in range(50)]
    shuffled = records * 2
    random.Random(1).shuffle(shuffled)
    one, other = (apple_export.read(export(*chosen), NO_HINTS) for chosen in (records, shuffled))
    assert one.values.tolist() == other.values.tolist()
    assert (one.start, other.tidying.duplicates - one.tidying.duplicates) == (other.start, 50)


def test_more_records_than_a_block_are_all_read():
    records = [record(k % 600, 1, startDate=stamp(k), endDate=stamp(k + 1)) for k in range(20_000)]
    found = apple_export.read(export(*records), NO_HINTS)
    assert (found.epochs, found.values.sum()) == (20_000, 20_000)


def stamp(minute: int) -> str:
    moment = np.datetime64("2024-03-04T08:00:00") + np.timedelta64(minute, "m")
    return f"{str(moment).replace('T', ' ')} +0100"


# Dates


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2021-12-01 08:38:00 -0500", 1638365880),
        ("2024-02-29 23:59:59 +0000", 1709251199),
        ("1970-01-01 05:45:00 +0545", 0),
        ("1999-12-31 20:30:00 -0330", 946684800),
        ("2000-02-29 14:00:00 +1400", 951782400),
    ],
)
def test_a_date_is_the_instant_that_its_offset_says(text, seconds):
    found = apple_export._moments([text])
    assert (found.utc.tolist(), found.is_valid.tolist()) == ([seconds], [True])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2021-12-01 08:38:00",
        "2021-12-01T08:38:00 -0500",
        "2021-12-01 08:38:00,-0500",
        "2021-12-01 08:38:00 ,0500",
        "2021-12-01 08:38:00 -05000",
        "2021-12-01 8:38:00 AM +0100",
        "2023-02-29 08:38:00 -0500",
        "1900-02-29 08:38:00 -0500",
        "2021-13-01 08:38:00 -0500",
        "2021-00-01 08:38:00 -0500",
        "2021-12-00 08:38:00 -0500",
        "2021-04-31 08:38:00 -0500",
        "2021-12-01 24:00:00 -0500",
        "2021-12-01 08:60:00 -0500",
        "2021-12-01 08:38:60 -0500",
        "2021-12-01 08:38:00 -0560",
        "2021-12-01 08:38:00 +1801",
        "1899-12-31 08:38:00 -0500",
        "2200-01-01 08:38:00 -0500",
        "2021-12-01 08:38:00 -\u0660\u0665\u0660\u0660",
    ],
)
def test_what_is_no_date_is_told_apart_without_harm_to_its_neighbours(text):
    good = "1970-01-01 00:00:07 +0000"
    found = apple_export._moments([good, text, good])
    assert found.is_valid.tolist() == [True, False, True]
    assert found.utc[[0, 2]].tolist() == [7, 7]


def test_all_dates_agree_with_the_calendar_of_the_standard_library():
    days = np.arange(np.datetime64("1900-01-01"), np.datetime64("2200-01-01"), 13)
    found = apple_export._moments([f"{day} 12:34:56 +0000" for day in days])
    assert found.is_valid.all()
    assert (found.utc == days.astype(np.int64) * 86_400 + 45_296).all()


# Zones


def test_several_offsets_need_the_zone_as_a_hint():
    summer = record(0, 5, startDate="2024-07-01 08:00:00 +0200", endDate="2024-07-01 08:01:00 +0200")
    data = export(record(0, 3), summer)
    assert refusal(data).code is Refusal.NO_TIME_ZONE
    found = apple_export.read(data, Hints(zone="Europe/Berlin"))
    assert (found.start.isoformat(), found.values[0]) == ("2024-03-04T08:00:00+01:00", 3)


def test_the_offsets_of_the_phone_are_no_travel():
    found = apple_export.read(export(record(0, 3)), Hints(zone="America/New_York"))
    assert (found.start.isoformat(), found.travel) == ("2024-03-04T02:00:00-05:00", ())


def test_zones_of_records_say_where_the_person_was():
    data = export(
        record(0, 3), record(1, 4, inside=note("HKTimeZone", "America/New_York")), record(2, 5), record(3, 6)
    )
    found = apple_export.read(data, Hints(zone="Europe/Berlin"))
    assert [change.zone for change in found.travel] == ["-05:00", "Europe/Berlin"]
    assert Flag.ZONE_CHANGED in found.flags


def test_one_zone_stated_by_every_record_is_the_zone():
    data = export(*(record(k, k, inside=note("HKTimeZone", "Asia/Kathmandu")) for k in range(3)))
    found = apple_export.read(data, NO_HINTS)
    assert (found.zone, found.start.isoformat()) == ("Asia/Kathmandu", "2024-03-04T12:45:00+05:45")
    assert refusal(data, Hints(zone="Europe/Berlin")).where == "zone"


def test_a_zone_that_the_database_does_not_know_is_as_good_as_none():
    found = apple_export.read(export(record(0, 3, inside=note("HKTimeZone", "Mars/Olympus"))), NO_HINTS)
    assert (found.zone, found.travel) == ("+01:00", ())


def test_more_zones_than_a_person_visits_are_refused():
    zones = [f"+{hour:02d}:{minute:02d}" for hour in range(2) for minute in range(60)]
    data = export(*(record(k, 1, inside=note("HKTimeZone", zone)) for k, zone in enumerate(zones)))
    assert refusal(data).where == "HKTimeZone"


# Days asked for


def test_since_and_until_choose_the_days():
    days = [
        record(
            0, day, startDate=f"2024-03-{day:02d} 23:58:00 +0100", endDate=f"2024-03-{day:02d} 23:59:00 +0100"
        )
        for day in range(1, 29)
    ]
    found = apple_export.read(export(*days), Hints(since=date(2024, 3, 5), until=date(2024, 3, 7)))
    assert found.values[[0, 1440, 2880]].tolist() == [5, 6, 7]
    assert (found.start.isoformat(), found.epochs) == ("2024-03-05T23:58:00+01:00", 2881)
    assert refusal(export(*days), Hints(since=date(2025, 1, 1))).code is Refusal.NO_SAMPLES


@pytest.mark.parametrize("limit", [400_000, 10_000_000])
def test_more_than_the_limit_is_refused_early_and_helped_by_since_and_until(limit):
    far = record(0, 1, startDate="2019-03-04 08:00:00 +0100", endDate="2019-03-04 08:01:00 +0100")
    broken_later = export(far, *(record(k % 600, 1) for k in range(30_000)))[:-40]
    refused = refusal(broken_later, Hints(max_epochs=limit))
    assert refused.code is Refusal.TOO_MANY_EPOCHS
    assert "since" in str(refused)
    found = apple_export.read(export(far, record(0, 7)), Hints(since=date(2024, 1, 1), max_epochs=limit))
    assert found.values.tolist() == [7]


# Records that cannot be used


@pytest.mark.parametrize(
    "other",
    [
        {"value": "many"},
        {"value": ""},
        {"value": "-1"},
        {"value": "nan"},
        {"value": "inf"},
        {"value": "1e999"},
        {"value": "1_0"},
        {"value": "1 0"},
        {"value": "1.2.3"},
        {"value": "1" * 33},
        {"unit": "km"},
        {"startDate": "yesterday"},
        {"startDate": "2024-03-04 09:59:59 +0100", "endDate": "2024-03-04 08:00:00 +0100"},
    ],
)
def test_a_rare_broken_record_is_set_aside_and_many_are_refused(other):
    good = [record(k, 1) for k in range(120)]
    found = apple_export.read(export(*good, record(3, 7, **other)), NO_HINTS)
    assert (found.values.sum(), found.tidying.set_aside) == (120, 1)
    refused = refusal(export(*good[:50], record(3, 7, **other)))
    assert (refused.code, refused.where) == (Refusal.INVALID_FIELD, "Record")
    assert "1 of 51" in str(refused)


def test_attributes_may_stand_in_any_order_and_a_name_is_no_type():
    turned = (
        "<Record value='4' endDate='2024-03-04 08:01:00 +0100' startDate='2024-03-04 08:00:00 +0100' "
        f"type='{STEPS}'/>"
    )
    named = HEART_RATE.replace('"Watch"', f'"{STEPS}"')
    found = apple_export.read(export(turned, named), NO_HINTS)
    assert (found.values.tolist(), found.tidying.set_aside) == ([4], 1)


def test_metadata_counts_for_the_step_record_around_it_only():
    other = HEART_RATE.replace("HKMetadataKeyHeartRateMotionContext", "HKTimeZone").replace(
        '"0"', '"Asia/Tokyo"'
    )
    by_hand = f"<Workout>{note('HKWasUserEntered', '1')}</Workout>"
    found = apple_export.read(export(record(0, 1), other, by_hand), NO_HINTS)
    assert found.source is not None
    assert (SOURCES[found.source[0]], found.travel, found.zone) == (Source.WATCH, (), "+01:00")


@pytest.mark.parametrize("value", ["0", "true"])
def test_only_a_record_entered_by_the_user_is_manual(value):
    found = apple_export.read(export(record(0, 1, inside=note("HKWasUserEntered", value))), NO_HINTS)
    assert found.source is not None
    assert SOURCES[found.source[0]] is Source.WATCH


# Broken and hostile XML


def test_a_document_type_is_not_needed():
    assert same(
        apple_export.read(export(record(0, 1), doctype=""), NO_HINTS),
        apple_export.read(export(record(0, 1)), NO_HINTS),
    )
    assert apple_export.read(export(record(0, 1), doctype="<!DOCTYPE HealthData>"), NO_HINTS).epochs == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  locale CDATA #REQUIRED\n>", "  locale CDATA #REQUIRED\n"),
        ("<!ELEMENT Record ((MetadataEntry)*)>", "<!ELEMENT Record ((MetadataEntry)*)"),
        ("unit CDATA #IMPLIED\n>", "unit CDATA #IMPLIED\n>\n>\n<"),
    ],
)
def test_declarations_that_some_versions_of_ios_write_broken_are_passed_over(old, new):
    assert old in DOCTYPE
    found = apple_export.read(export(record(0, 5), doctype=DOCTYPE.replace(old, new)), NO_HINTS)
    assert found.values.tolist() == [5]


def test_a_stray_vertical_tab_is_read_as_a_space():
    found = apple_export.read(export(record(0, 5, source="Doe\x0b's Watch"), HEART_RATE), NO_HINTS)
    assert found.values.tolist() == [5]
    assert refusal(export(record(0, 5, value="\x0b5\x0b"))).code is Refusal.INVALID_FIELD
    assert refusal(export(record(0, 5, source="Doe\x0c"))).code is Refusal.UNPARSABLE


LAUGHS = "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10}">' for k in range(1, 10))
ATTACKS = {
    "billion laughs": f'<!DOCTYPE HealthData [<!ENTITY l0 "ha">{LAUGHS}]>',
    "quadratic blow-up": f'<!DOCTYPE HealthData [<!ENTITY a "{"a" * 50_000}">]>',
    "external entity": '<!DOCTYPE HealthData [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
    "public entity": '<!DOCTYPE HealthData [<!ENTITY a PUBLIC "x" "http://localhost/a">]>',
    "unparsed entity": '<!DOCTYPE HealthData [<!NOTATION n SYSTEM "x"><!ENTITY a SYSTEM "x" NDATA n>]>',
    "parameter entity": '<!DOCTYPE HealthData [<!ENTITY % a "<!ELEMENT b ANY>"> %a;]>',
    "undeclared parameter entity": "<!DOCTYPE HealthData [ %a; ]>",
    "external DTD": '<!DOCTYPE HealthData SYSTEM "http://localhost/a.dtd">',
    "public DTD": '<!DOCTYPE HealthData PUBLIC "x" "http://localhost/a.dtd">',
    "external DTD and declarations": '<!DOCTYPE HealthData SYSTEM "a.dtd" [<!ELEMENT b ANY>]>',
    "default value": f'<!DOCTYPE HealthData [<!ATTLIST Record type CDATA "{STEPS}">]>',
    "fixed value": f"<!DOCTYPE HealthData [<!ATTLIST Record type CDATA #FIXED '{STEPS}'>]>",
    "processing instruction": "<!DOCTYPE HealthData [<?a b?>]>",
    "conditional section": "<!DOCTYPE HealthData [<![INCLUDE[<!ELEMENT b ANY>]]>]>",
    "open comment": "<!DOCTYPE HealthData [<!-- ]> <!ENTITY a 'b'> -->]>",
    "hidden entity": "<!DOCTYPE HealthData [<!-- --><!ENTITY a 'b'><!-- -->]>",
    "entity in small letters": "<!DOCTYPE HealthData [<!entity a 'b'>]>",
    "another root": '<!DOCTYPE other [<!ENTITY a "b">]>',
    "late document type": f"<!-- -->{DOCTYPE}",
    "second document type": f"{DOCTYPE}{DOCTYPE}",
    "endless declarations": f"<!DOCTYPE HealthData [{'<!ELEMENT b ANY>' * 10_000}]>",
}


@pytest.mark.parametrize("doctype", ATTACKS.values(), ids=list(ATTACKS))
@pytest.mark.parametrize("head", ['<?xml version="1.0" standalone="yes"?>', "", "\ufeff"])
def test_whatever_could_expand_or_fetch_is_refused(doctype, head):
    body = export(record(0, 1, source="&a;&l9;"), doctype=doctype).decode()
    assert refusal(body.replace(DECLARATION, head).encode()).code is Refusal.UNPARSABLE


@pytest.mark.parametrize("encoding", ["UTF-16", "UTF-7", "cp037", "ISO-8859-1"])
def test_another_encoding_hides_nothing(encoding):
    hidden = f'<?xml version="1.0" encoding="{encoding}"?>{ATTACKS["billion laughs"]}{HEAD}</HealthData>'
    for data in (hidden.encode(), *([] if encoding == "cp037" else [hidden.encode(encoding)])):
        assert refusal(data).code is Refusal.UNPARSABLE


def test_an_entity_that_nobody_declared_is_refused():
    assert refusal(export(record(0, 1, source="&a;"))).code is Refusal.UNPARSABLE


@pytest.mark.parametrize(
    "body",
    [
        "<a>" * 400_000,
        "<a>" + "<Record>" * 200_000,
        f'<Record type="{STEPS}">' + "<MetadataEntry>" * 100_000,
        f'<Record type="{STEPS}" value="{"1" * 3_000_000}"/>',
        f"<!--{'-' * 3_000_000}",
        "".join(f"<n{k}/>" for k in range(200_000)),
    ],
    ids=["deep", "deep records", "deep metadata", "long tag", "long comment", "many names"],
)
def test_deep_long_and_endlessly_named_elements_are_refused_in_bounded_memory(body):
    data = export(record(0, 1), body)
    tracemalloc.start()
    assert refusal(data).code is Refusal.UNPARSABLE
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(data)


def test_broken_xml_is_refused_with_its_line():
    refused = refusal(export(HEART_RATE, record(0, 1, source="Doe & Roe")))
    assert (refused.code, refused.where) == (Refusal.UNPARSABLE, "line 18")
    assert "Doe" not in str(refused)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Refusal.UNPARSABLE),
        (b"<html/>", Refusal.UNPARSABLE),
        (b"<HealthData", Refusal.UNPARSABLE),
        (b"<HealthData/><HealthData/>", Refusal.UNPARSABLE),
        (b"<!DOCTYPE HealthData><Other/>", Refusal.UNPARSABLE),
        (b"<HealthData>\xff</HealthData>", Refusal.UNPARSABLE),
        (b"<HealthData>\0</HealthData>", Refusal.UNPARSABLE),
        (example()[:-30], Refusal.UNPARSABLE),
        (export(), Refusal.NO_SAMPLES),
        (export(HEART_RATE), Refusal.NO_SAMPLES),
        (export(record(0, 1, endDate="2024-03-05 08:00:00 +0100")), Refusal.RESOLUTION_TOO_COARSE),
        (export(record(0, 2e6)), Refusal.INVALID_FIELD),
    ],
)
def test_what_is_wrong_in_an_export_is_refused(data, code):
    assert refusal(data).code is code


@pytest.mark.parametrize("hints", [Hints(unit=Unit.COUNTS), Hints(epoch_seconds=30)])
def test_a_hint_that_contradicts_the_format_is_refused(hints):
    assert refusal(example(), hints).code is Refusal.INVALID_FIELD


def test_hints_add_what_the_export_does_not_say():
    found = apple_export.read(example(), Hints(device=Device.AXIVITY, wear_site=WearSite.WRIST))
    assert (found.device, found.wear_site) == (Device.AXIVITY, WearSite.WRIST)


# Archives


@pytest.mark.parametrize("name", ["apple_health_export/export.xml", "apple_health_export/Exportieren.XML"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_is_read_whatever_the_language_of_its_names(name, compression, tmp_path):
    clinical = ("apple_health_export/export_cda.xml", b'<?xml version="1.0"?><ClinicalDocument/>')
    route = ("apple_health_export/workout-routes/a.gpx", b"<gpx/>")
    data = archive(clinical, (name, example()), route, compression=compression)
    assert apple_export.looks_like(data[:4096])
    assert same(apple_export.read(data, NO_HINTS), apple_export.read(example(), NO_HINTS))
    (tmp_path / "export.zip").write_bytes(data)
    assert apple_export.read_file(tmp_path / "export.zip", NO_HINTS).epochs == 4


def locked() -> bytes:
    data = bytearray(archive(("export.xml", example())))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04",
        archive(("export.txt", example())),
        archive(("export.xml", b"<other/>")),
        archive(("a/export.xml", example()), ("b/export.xml", example())),
        archive(("export.xml", example()), compression=zipfile.ZIP_LZMA),
        archive(*((f"{k}.xml", b"") for k in range(17))),
        archive(("export.xml", example()))[:-100],
        archive(("export.xml", example())) + b"trailing",
        archive(("export.xml", archive(("export.xml", example())))),
        archive(("export.xml", example())).replace(b"PK\x01\x02", b"PK\x01\x03"),
        archive(("export.xml", example())).replace(b"PK\x05\x06", b"PK\x05\x07"),
        locked(),
    ],
    ids=[
        "stub",
        "no XML",
        "no export",
        "two exports",
        "LZMA",
        "many",
        "cut off",
        "trailing",
        "archive in archive",
        "directory",
        "end",
        "encrypted",
    ],
)
def test_archives_without_one_whole_export_are_refused(data):
    assert refusal(data).code is Refusal.UNPARSABLE


def test_a_checksum_that_does_not_fit_is_refused():
    data = archive(("export.xml", example()), compression=zipfile.ZIP_STORED)
    assert refusal(data.replace(b'value="41"', b'value="42"', 1)).code is Refusal.UNPARSABLE


def test_an_archive_with_a_large_directory_is_refused_before_it_is_read():
    members = [(f"export/{k:05d}{'x' * 80}", b"") for k in range(18_000)]
    data = archive(*members, compression=zipfile.ZIP_STORED)
    tracemalloc.start()
    assert refusal(data).code is Refusal.UNPARSABLE
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_an_archive_that_unpacks_beyond_measure_is_refused():
    bomb = archive(("export.xml", export(" " * 20_000_000)))
    refused = refusal(bomb)
    assert (refused.code, refused.where) == (Refusal.TOO_MANY_EPOCHS, "file")
    assert "unpack it" in str(refused)


# Detection, damage


def test_the_format_is_told_by_its_document_type_or_root():
    assert apple_export.looks_like(example()[:4096])
    assert apple_export.looks_like(example()[:4096].decode())
    assert apple_export.looks_like(b"\xef\xbb\xbf<HealthData>")
    assert not apple_export.looks_like(b"<HealthDataset/>")
    assert not apple_export.looks_like(b'<?xml version="1.0"?><motionfile>')
    assert not apple_export.looks_like(archive(("word/document.xml", example()))[:4096])


@pytest.mark.parametrize("data", [example(), archive(("export.xml", example()))], ids=["XML", "ZIP"])
def test_damaged_exports_are_read_or_refused_and_nothing_else(data):
    assert outcomes(lambda copy: apple_export.read(copy, NO_HINTS), data) <= {"read", "refused"}


def test_memory_does_not_grow_with_what_is_not_read(tmp_path):
    path = tmp_path / "export.xml"
    with path.open("wb") as file:
        file.write(export(record(0, 1)).removesuffix(b"</HealthData>\n"))
        for _ in range(200):
            file.write(HEART_RATE.encode() * 500)
        file.write(b"</HealthData>")
    tracemalloc.start()
    assert apple_export.read_file(path, NO_HINTS).tidying.set_aside == 100_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000 < path.stat().st_size
