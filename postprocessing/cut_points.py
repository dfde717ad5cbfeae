"""Cut points: the levels at which movement counts as light, moderate or vigorous, where they were published.

A set belongs to one unit at one wear site, some to one device too. What has no set here has no minutes of
intensity.
"""

from __future__ import annotations

from dataclasses import dataclass

from postprocessing.absence import Absence, Reason, absent
from preprocessing.recording import Recording
from preprocessing.units import Device, Unit, WearSite

__all__ = ["CUT_POINTS", "CutPoints", "cut_points_of"]


@dataclass(frozen=True)
class CutPoints:
    """A named set, in the unit's level per minute: sedentary below ``light``, and so on upwards.

    ``devices`` empty: any device with that unit.
    """

    name: str
    light: float
    moderate: float
    vigorous: float
    units: tuple[Unit, ...]
    wear_site: WearSite
    devices: tuple[Device, ...]
    made_for: str
    source: str
    bouts: bool  # whether sedentary and active bouts were published with its lowest threshold


_HILDEBRAND = "Hildebrand 2014, Med Sci Sports Exerc 46:1816; Hildebrand 2016, Scand J Med Sci Sports 27:1814"
CUT_POINTS = (
    CutPoints(
        name="troiano-2008",
        light=100,
        moderate=2020,
        vigorous=5999,
        units=(Unit.ACTIGRAPH_AXIS1_COUNTS, Unit.ACTIGRAPH_7164_COUNTS),
        wear_site=WearSite.HIP,
        devices=(),
        made_for="adults",
        source="Troiano 2008, Med Sci Sports Exerc 40:181; Matthews 2008, Am J Epidemiol 167:875",
        bouts=True,
    ),
    CutPoints(
        name="hildebrand-2014-actigraph",
        light=44.8,
        moderate=100.6,
        vigorous=428.8,
        units=(Unit.ENMO_MG,),
        wear_site=WearSite.WRIST,
        devices=(Device.ACTIGRAPH_GT3X,),
        made_for="adults, non-dominant wrist",
        source=_HILDEBRAND,
        bouts=False,
    ),
    CutPoints(
        name="hildebrand-2014-geneactiv",
        light=45.8,
        moderate=93.2,
        vigorous=418.3,
        units=(Unit.ENMO_MG,),
        wear_site=WearSite.WRIST,
        devices=(Device.GENEACTIV,),
        made_for="adults, non-dominant wrist",
        source=_HILDEBRAND,
        bouts=False,
    ),
)


def cut_points_of(recording: Recording) -> CutPoints | Absence:
    """Return the set for the unit, site and device of ``recording``, or why there is none."""
    for_unit = [points for points in CUT_POINTS if recording.unit in points.units]
    if not for_unit:
        return _no_set(recording.unit)
    for_site = [points for points in for_unit if points.wear_site is recording.wear_site]
    if not for_site:
        return absent(
            Reason.DEVICE_SCALING_UNKNOWN,
            f"Cut points of this unit were made for the {for_unit[0].wear_site}, not {recording.wear_site}.",
        )
    fitting = [points for points in for_site if not points.devices or recording.device in points.devices]
    if not fitting:
        return absent(Reason.DEVICE_SCALING_UNKNOWN, "Cut points of this unit differ between devices.")
    return fitting[0]


def _no_set(unit: Unit) -> Absence:
    if unit in (Unit.MIMS, Unit.STEPS):
        return absent(Reason.UNIT_NOT_SUPPORTED, "There are no agreed cut points in it.")
    return absent(
        Reason.DEVICE_SCALING_UNKNOWN, "No cut points for adults are widely validated for its counts."
    )
