"""The operation ``$analyze``: which parameters it takes, as data and as a FHIR OperationDefinition.

The table is what the service reads by as well, so that the definition is what is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from postprocessing.sleep_scored import Rescoring, RestRule, Threshold
from preprocessing.units import Device, SleepScorer, Unit, WearSite
from preprocessing.wear import WearMode

__all__ = ["HINTS", "OPERATION", "OPTIONS", "PARAMETERS", "VERSION", "Parameter", "operation_definition"]

OPERATION = "analyze"  # id and code
VERSION = "1.0.0"  # raised with every change of the parameters; within a major they are only added


@dataclass(frozen=True)
class Parameter:
    """One parameter besides the data; ``type`` is FHIR's, ``codes`` what a code may be, if that is closed."""

    name: str
    type: str
    documentation: str
    codes: Sequence[str] = ()
    most: str = "1"


def _table(*parameters: Parameter) -> Mapping[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters}


_ANSWER = _table(
    Parameter(
        "return", "code", "Type of the Bundle that is answered: collection (default) or transaction.",
        ("collection", "transaction"),
    ),
    Parameter(
        "subject", "Reference",
        "Whose recording it is, where the Observations do not say so; never another than theirs.",
    ),
)  # fmt: skip
HINTS = _table(  # what the Observations may not say
    Parameter("unit", "code", "What the values count, where the Observations do not say.", tuple(Unit)),
    Parameter("device", "code", "Family of the device.", tuple(Device)),
    Parameter("wear-site", "code", "Where the device was worn.", tuple(WearSite)),
    Parameter("zone", "code", "IANA zone or fixed offset that the wearer lived by."),
    Parameter("since", "date", "First local day wanted."),
    Parameter("until", "date", "Last local day wanted."),
    Parameter("source-priority", "string", "Which source counts where several overlap, as phone,watch."),
)
OPTIONS = _table(  # how it is analysed; the names of the JSON door with - for _
    Parameter("wear", "code", "How non-wear is found.", tuple(WearMode)),
    Parameter("stride-days", "integer", "Days from the start of one week to that of the next, 1 to 7."),
    Parameter("clinical", "boolean", "Whether sleep, rhythm and activity are computed; default true."),
    Parameter("profile", "boolean", "Whether the attention that each part of a week receives is added."),
    Parameter("scorer", "code", "Sleep/wake scorer; default by the unit.", tuple(SleepScorer)),
    Parameter("threshold", "code", "Wake threshold of the Oakley scorer.", get_args(Threshold)),
    Parameter("rescoring", "code", "What follows the scorer.", get_args(Rescoring)),
    Parameter("rest", "code", "Rule for rest periods without a sleep log.", get_args(RestRule)),
    Parameter("sleep-log", "Period", "One window of a sleep log: in bed to out of bed.", most="*"),
    Parameter("intervals", "boolean", "Whether bootstrap intervals are computed."),
    Parameter("series", "boolean", "Whether the sleep and wear state of each epoch is computed."),
)
_DATA = (
    Parameter(
        "observation", "Observation", "SampledData of activity, or steps of one span (LOINC 55423-8).",
        most="*",
    ),
    Parameter("bundle", "Bundle", "A Bundle of such Observations and the Devices they name.", most="*"),
)  # fmt: skip
PARAMETERS = {**_ANSWER, **HINTS, **OPTIONS}


def operation_definition(canonical_base: str) -> dict[str, Any]:
    """Return the definition, to be served at ``{canonical_base}/OperationDefinition/analyze``."""
    return {
        "resourceType": "OperationDefinition",
        "id": OPERATION,
        "url": f"{canonical_base}/OperationDefinition/{OPERATION}",
        "version": VERSION,
        "name": "Analyze",
        "title": "Analyse one actigraphy recording",
        "status": "active",
        "kind": "operation",
        "experimental": False,
        "description": (
            "Takes the Observations of one recording of one person and answers with a Bundle of what was "
            "computed: sleep, rest-activity rhythm, activity, and the output of the PAT encoder. A single "
            "Observation or a Bundle may be sent without Parameters around it. For research and wellness; "
            "not a diagnosis."
        ),
        "code": OPERATION,
        "system": True,
        "type": False,
        "instance": False,
        "parameter": [
            *(_input(one) for one in (*_DATA, *PARAMETERS.values())),
            _answer(),
        ],
    }


def _input(parameter: Parameter) -> dict[str, Any]:
    listed = f" One of {', '.join(parameter.codes)}." if parameter.codes else ""
    return {
        "name": parameter.name,
        "use": "in",
        "min": 0,
        "max": parameter.most,
        "documentation": f"{parameter.documentation}{listed}",
        "type": parameter.type,
    }


def _answer() -> dict[str, Any]:
    told = "The Bundle itself is answered, without Parameters around it, for it is the only output."
    return {"name": "return", "use": "out", "min": 1, "max": "1", "documentation": told, "type": "Bundle"}
