"""The metrics: every number of an Analysis by code, with its unit, its definition and where it comes from.

One table serves the Analysis, FHIR, the report and the data dictionary, so that a number is called the same
everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from preprocessing.units import Unit

__all__ = ["METRICS", "Kind", "MetricCode", "MetricInfo", "Section", "codes_of"]

Kind = Literal["quantity", "count", "clock_time"]
Section = Literal["sleep", "rhythm", "activity"]


class MetricCode(StrEnum):
    """Every metric of the Analysis; part of the public contract ``pat-analysis/1``."""

    TIME_IN_BED = "time_in_bed"
    SLEEP_PERIOD_TIME = "sleep_period_time"
    TOTAL_SLEEP_TIME = "total_sleep_time"
    SLEEP_EFFICIENCY = "sleep_efficiency"
    SLEEP_MAINTENANCE_EFFICIENCY = "sleep_maintenance_efficiency"
    WAKE_AFTER_SLEEP_ONSET = "wake_after_sleep_onset"
    AWAKENINGS = "awakenings"
    MEAN_AWAKENING_LENGTH = "mean_awakening_length"
    MID_SLEEP = "mid_sleep"
    MOVEMENT_INDEX = "movement_index"
    FRAGMENTATION_INDEX = "fragmentation_index"
    SLEEP_FRAGMENTATION_INDEX = "sleep_fragmentation_index"
    ACTIWARE_FRAGMENTATION_INDEX = "actiware_fragmentation_index"
    SLEEP_ONSET_LATENCY = "sleep_onset_latency"
    MID_SLEEP_SD = "mid_sleep_sd"
    SLEEP_REGULARITY_INDEX = "sleep_regularity_index"
    SOCIAL_JETLAG = "social_jetlag"
    INTERDAILY_STABILITY = "interdaily_stability"
    INTRADAILY_VARIABILITY = "intradaily_variability"
    INTERDAILY_STABILITY_BINARIZED = "interdaily_stability_binarized"
    INTRADAILY_VARIABILITY_BINARIZED = "intradaily_variability_binarized"
    RELATIVE_AMPLITUDE = "relative_amplitude"
    L5 = "l5"
    L5_ONSET = "l5_onset"
    M10 = "m10"
    M10_ONSET = "m10_onset"
    MESOR = "mesor"
    AMPLITUDE = "amplitude"
    ACROPHASE = "acrophase"
    COSINOR_R_SQUARED = "cosinor_r_squared"
    LOG_MESOR = "log_mesor"
    LOG_AMPLITUDE = "log_amplitude"
    LOG_ACROPHASE = "log_acrophase"
    LOG_COSINOR_R_SQUARED = "log_cosinor_r_squared"
    MEAN_LEVEL = "mean_level"
    TOTAL_ACTIVITY = "total_activity"
    TOTAL_LOG_ACTIVITY = "total_log_activity"
    SEDENTARY_TIME = "sedentary_time"
    LIGHT_TIME = "light_time"
    MODERATE_TIME = "moderate_time"
    VIGOROUS_TIME = "vigorous_time"
    MVPA_TIME = "mvpa_time"
    SEDENTARY_BOUT = "sedentary_bout"
    ACTIVE_BOUT = "active_bout"
    SEDENTARY_TO_ACTIVE = "sedentary_to_active"
    ACTIVE_TO_SEDENTARY = "active_to_sedentary"
    STEPS_PER_DAY = "steps_per_day"
    MODERATE_CADENCE_TIME = "moderate_cadence_time"
    VIGOROUS_CADENCE_TIME = "vigorous_cadence_time"


@dataclass(frozen=True)
class MetricInfo:
    """How a metric is named and read.

    ``unit`` is UCUM; None follows the recording's unit, per minute or, if ``daily``, per day. ``definition``
    is one sentence; ``source`` the paper, standard or vendor that it follows, or "project choice".
    """

    label: str
    kind: Kind
    unit: str | None
    section: Section
    definition: str
    source: str
    daily: bool = False

    @property
    def units(self) -> frozenset[str]:
        """UCUM units that the metric may have."""
        return frozenset({self.unit}) if self.unit else frozenset(map(self.unit_for, Unit))

    def unit_for(self, unit: Unit) -> str:
        """UCUM unit of the metric for a recording in ``unit``."""
        if self.unit is not None:
            return self.unit
        return unit.ucum_per_day if self.daily else unit.ucum_per_minute


def codes_of(section: Section) -> tuple[MetricCode, ...]:
    """Codes of one section, in the order of the table."""
    return tuple(code for code, info in METRICS.items() if info.section == section)


_WITTING = "Witting 1990, Biol Psychiatry 27:563; van Someren 1996"
_BINARIZED = "Witting 1990; threshold as in pyActigraphy"
_SOMEREN = "van Someren 1999, Chronobiol Int 16:505"
_COSINOR = "Nelson 1979, Chronobiologia 6:305"
_ACTILIFE = "ActiLife 6"
_CUT_POINTS = (
    "Troiano 2008, Med Sci Sports Exerc 40:181; Matthews 2008, Am J Epidemiol 167:875; for ENMO Hildebrand "
    "2014, Med Sci Sports Exerc 46:1816, and 2016, Scand J Med Sci Sports 27:1814"
)
_DI = "Di 2017, bioRxiv 182337; Leroux 2019, Stat Biosci 11:262"
_CADENCE = "Tudor-Locke 2018, Br J Sports Med 52:776"
METRICS: dict[MetricCode, MetricInfo] = {
    MetricCode.TIME_IN_BED: MetricInfo(
        "Time in bed",
        "quantity",
        "min",
        "sleep",
        "Length of the rest interval: from a sleep log, or found from movement.",
        "usual definition",
    ),
    MetricCode.SLEEP_PERIOD_TIME: MetricInfo(
        "Sleep period time",
        "quantity",
        "min",
        "sleep",
        "From the first sleep epoch to the end of the last one.",
        "usual definition",
    ),
    MetricCode.TOTAL_SLEEP_TIME: MetricInfo(
        "Total sleep time",
        "quantity",
        "min",
        "sleep",
        "Time scored as sleep within the sleep period.",
        "usual definition",
    ),
    MetricCode.SLEEP_EFFICIENCY: MetricInfo(
        "Sleep efficiency",
        "quantity",
        "%",
        "sleep",
        "Total sleep time as a percentage of time in bed.",
        "Actiware; usual definition",
    ),
    MetricCode.SLEEP_MAINTENANCE_EFFICIENCY: MetricInfo(
        "Sleep maintenance efficiency",
        "quantity",
        "%",
        "sleep",
        "Total sleep time as a percentage of the sleep period time.",
        "usual definition",
    ),
    MetricCode.WAKE_AFTER_SLEEP_ONSET: MetricInfo(
        "Wake after sleep onset",
        "quantity",
        "min",
        "sleep",
        "Time scored as wake between sleep onset and the end of the last sleep epoch.",
        "usual definition",
    ),
    MetricCode.AWAKENINGS: MetricInfo(
        "Number of awakenings",
        "count",
        "{#}",
        "sleep",
        "Number of wake bouts between sleep onset and the end of the last sleep epoch.",
        "usual definition",
    ),
    MetricCode.MEAN_AWAKENING_LENGTH: MetricInfo(
        "Mean length of awakenings",
        "quantity",
        "min",
        "sleep",
        "Wake after sleep onset divided by the number of awakenings; 0 without any, as ActiLife prints it.",
        "usual definition",
    ),
    MetricCode.MID_SLEEP: MetricInfo(
        "Mid-sleep",
        "clock_time",
        "h",
        "sleep",
        "Local clock time halfway through the sleep period.",
        "usual definition",
    ),
    MetricCode.MOVEMENT_INDEX: MetricInfo(
        "Movement index",
        "quantity",
        "%",
        "sleep",
        "Share of the scored epochs of the sleep period with any movement.",
        _ACTILIFE,
    ),
    MetricCode.FRAGMENTATION_INDEX: MetricInfo(
        "Fragmentation index",
        "quantity",
        "%",
        "sleep",
        "Share of the sleep bouts of the sleep period that last one minute only.",
        _ACTILIFE,
    ),
    MetricCode.SLEEP_FRAGMENTATION_INDEX: MetricInfo(
        "Sleep fragmentation index",
        "quantity",
        "%",
        "sleep",
        "Movement index plus fragmentation index.",
        _ACTILIFE,
    ),
    MetricCode.ACTIWARE_FRAGMENTATION_INDEX: MetricInfo(
        "Fragmentation index (Actiware)",
        "quantity",
        "%",
        "sleep",
        "Mobile share of the sleep period (4 counts a minute or more) plus the share of its immobile bouts "
        "that last one minute.",
        "Actiware, by description; unverified",
    ),
    MetricCode.SLEEP_ONSET_LATENCY: MetricInfo(
        "Sleep onset latency",
        "quantity",
        "min",
        "sleep",
        "Time from going to bed, known from a sleep log, to the first sleep epoch.",
        "usual definition",
    ),
    MetricCode.MID_SLEEP_SD: MetricInfo(
        "Standard deviation of mid-sleep",
        "quantity",
        "min",
        "sleep",
        "Sample standard deviation of mid-sleep around its circular mean, over valid nights.",
        "usual definition",
    ),
    MetricCode.SLEEP_REGULARITY_INDEX: MetricInfo(
        "Sleep regularity index (SRI)",
        "quantity",
        "1",
        "sleep",
        "-100 + 200 times the share of epochs scored alike 24 hours apart on the wall clock.",
        "Phillips 2017, Sci Rep 7:3216",
    ),
    MetricCode.SOCIAL_JETLAG: MetricInfo(
        "Social jetlag",
        "quantity",
        "h",
        "sleep",
        "Distance of mean mid-sleep between nights before free days and nights before work days.",
        "Wittmann 2006, Chronobiol Int 23:497",
    ),
    MetricCode.INTERDAILY_STABILITY: MetricInfo(
        "Interdaily stability (IS)",
        "quantity",
        "1",
        "rhythm",
        "How alike the days are: 1 if all are the same, near 0 if none are.",
        _WITTING,
    ),
    MetricCode.INTRADAILY_VARIABILITY: MetricInfo(
        "Intradaily variability (IV)",
        "quantity",
        "1",
        "rhythm",
        "How fragmented rest and activity are within days.",
        _WITTING,
    ),
    MetricCode.INTERDAILY_STABILITY_BINARIZED: MetricInfo(
        "Interdaily stability, binarised",
        "quantity",
        "1",
        "rhythm",
        "IS of minutes above a stated threshold of counts (1) or not (0).",
        _BINARIZED,
    ),
    MetricCode.INTRADAILY_VARIABILITY_BINARIZED: MetricInfo(
        "Intradaily variability, binarised",
        "quantity",
        "1",
        "rhythm",
        "IV of minutes above a stated threshold of counts (1) or not (0).",
        _BINARIZED,
    ),
    MetricCode.RELATIVE_AMPLITUDE: MetricInfo(
        "Relative amplitude (RA)", "quantity", "1", "rhythm", "(M10 - L5) / (M10 + L5), 0 to 1.", _SOMEREN
    ),
    MetricCode.L5: MetricInfo(
        "Mean level of the least active 5 hours (L5)",
        "quantity",
        None,
        "rhythm",
        "Mean activity of the five least active consecutive hours of the mean day.",
        _SOMEREN,
    ),
    MetricCode.L5_ONSET: MetricInfo(
        "Onset of the least active 5 hours",
        "clock_time",
        "h",
        "rhythm",
        "Local clock time at which the L5 hours start.",
        _SOMEREN,
    ),
    MetricCode.M10: MetricInfo(
        "Mean level of the most active 10 hours (M10)",
        "quantity",
        None,
        "rhythm",
        "Mean activity of the ten most active consecutive hours of the mean day.",
        _SOMEREN,
    ),
    MetricCode.M10_ONSET: MetricInfo(
        "Onset of the most active 10 hours",
        "clock_time",
        "h",
        "rhythm",
        "Local clock time at which the M10 hours start.",
        _SOMEREN,
    ),
    MetricCode.MESOR: MetricInfo(
        "Cosinor mesor", "quantity", None, "rhythm", "Rhythm-adjusted mean of a 24-hour cosine fit.", _COSINOR
    ),
    MetricCode.AMPLITUDE: MetricInfo(
        "Cosinor amplitude",
        "quantity",
        None,
        "rhythm",
        "Half the peak-to-trough range of a 24-hour cosine fit.",
        _COSINOR,
    ),
    MetricCode.ACROPHASE: MetricInfo(
        "Cosinor acrophase",
        "clock_time",
        "h",
        "rhythm",
        "Local clock time of the peak of a 24-hour cosine fit.",
        _COSINOR,
    ),
    MetricCode.COSINOR_R_SQUARED: MetricInfo(
        "Cosinor R squared",
        "quantity",
        "1",
        "rhythm",
        "Share of the variance explained by a 24-hour cosine fit.",
        _COSINOR,
    ),
    MetricCode.LOG_MESOR: MetricInfo(
        "Cosinor mesor of log activity",
        "quantity",
        "1",
        "rhythm",
        "Mesor of a 24-hour cosine fit to ln(1 + level per minute).",
        _COSINOR,
    ),
    MetricCode.LOG_AMPLITUDE: MetricInfo(
        "Cosinor amplitude of log activity",
        "quantity",
        "1",
        "rhythm",
        "Amplitude of a 24-hour cosine fit to ln(1 + level per minute).",
        _COSINOR,
    ),
    MetricCode.LOG_ACROPHASE: MetricInfo(
        "Cosinor acrophase of log activity",
        "clock_time",
        "h",
        "rhythm",
        "Local clock time of the peak of a 24-hour cosine fit to ln(1 + level per minute).",
        _COSINOR,
    ),
    MetricCode.LOG_COSINOR_R_SQUARED: MetricInfo(
        "Cosinor R squared of log activity",
        "quantity",
        "1",
        "rhythm",
        "Share of the variance of ln(1 + level per minute) explained by a 24-hour cosine fit.",
        _COSINOR,
    ),
    MetricCode.MEAN_LEVEL: MetricInfo(
        "Mean activity level",
        "quantity",
        None,
        "activity",
        "Mean level of the worn time of a valid day, mean over valid days.",
        "usual definition",
    ),
    MetricCode.TOTAL_ACTIVITY: MetricInfo(
        "Total activity per day",
        "quantity",
        None,
        "activity",
        "Sum over the worn minutes of a valid day, mean over valid days; never prorated.",
        _DI,
        daily=True,
    ),
    MetricCode.TOTAL_LOG_ACTIVITY: MetricInfo(
        "Total log activity per day",
        "quantity",
        "1",
        "activity",
        "Sum of ln(1 + counts per minute) over the worn minutes of a valid day, mean over valid days.",
        _DI,
    ),
    MetricCode.SEDENTARY_TIME: MetricInfo(
        "Sedentary time per day",
        "quantity",
        "min",
        "activity",
        "Worn minutes of a valid day, sleep included, below the sedentary cut point, mean over valid days.",
        _CUT_POINTS,
    ),
    MetricCode.LIGHT_TIME: MetricInfo(
        "Light activity per day",
        "quantity",
        "min",
        "activity",
        "Worn minutes of a valid day of light intensity, mean over valid days.",
        _CUT_POINTS,
    ),
    MetricCode.MODERATE_TIME: MetricInfo(
        "Moderate activity per day",
        "quantity",
        "min",
        "activity",
        "Worn minutes of a valid day of moderate intensity, mean over valid days.",
        _CUT_POINTS,
    ),
    MetricCode.VIGOROUS_TIME: MetricInfo(
        "Vigorous activity per day",
        "quantity",
        "min",
        "activity",
        "Worn minutes of a valid day of vigorous intensity, mean over valid days.",
        _CUT_POINTS,
    ),
    MetricCode.MVPA_TIME: MetricInfo(
        "Moderate to vigorous activity per day",
        "quantity",
        "min",
        "activity",
        "Worn minutes of a valid day of at least moderate intensity, mean over valid days.",
        _CUT_POINTS,
    ),
    MetricCode.SEDENTARY_BOUT: MetricInfo(
        "Mean sedentary bout",
        "quantity",
        "min",
        "activity",
        "Mean length of the unbroken worn stretches of a valid day below 100 counts, mean over valid days.",
        _DI,
    ),
    MetricCode.ACTIVE_BOUT: MetricInfo(
        "Mean active bout",
        "quantity",
        "min",
        "activity",
        "Mean length of the unbroken worn stretches of a valid day from 100 counts on, mean over valid days.",
        _DI,
    ),
    MetricCode.SEDENTARY_TO_ACTIVE: MetricInfo(
        "Sedentary to active transition probability (SATP)",
        "quantity",
        "1",
        "activity",
        "1 / mean sedentary bout in minutes, per valid day, mean over valid days.",
        _DI,
    ),
    MetricCode.ACTIVE_TO_SEDENTARY: MetricInfo(
        "Active to sedentary transition probability (ASTP)",
        "quantity",
        "1",
        "activity",
        "1 / mean active bout in minutes, per valid day, mean over valid days.",
        _DI,
    ),
    MetricCode.STEPS_PER_DAY: MetricInfo(
        "Steps per day",
        "quantity",
        "{steps}/d",
        "activity",
        "Steps of a valid day, mean over valid days.",
        "usual definition",
    ),
    MetricCode.MODERATE_CADENCE_TIME: MetricInfo(
        "Minutes of at least 100 steps per day",
        "quantity",
        "min",
        "activity",
        "Recorded minutes of a valid day with at least 100 steps, mean over valid days.",
        _CADENCE,
    ),
    MetricCode.VIGOROUS_CADENCE_TIME: MetricInfo(
        "Minutes of at least 130 steps per day",
        "quantity",
        "min",
        "activity",
        "Recorded minutes of a valid day with at least 130 steps, mean over valid days.",
        _CADENCE,
    ),
}
