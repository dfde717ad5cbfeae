"""Preprocessing: any input becomes a Recording, and a Recording becomes weeks on PAT's grid.

recording   Recording: what a device recorded, before any opinion
units       units, devices and wear sites, and what each allows
readers     one input format a module
calendar    instants and local wall clock; the only place that knows zones
wear        when the device was worn
week        Week: the 10,080-minute local grid
scaling     Scaling: per-minute mean and SD of a cohort
runs        unbroken stretches of a mask
stations    names for whoever traces the pipeline or watches what passes
"""

__all__ = ["calendar", "readers", "recording", "runs", "scaling", "stations", "units", "wear", "week"]
