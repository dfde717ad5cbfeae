"""Vector pictures: a frame with title and description, and the few shapes that the report draws."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from postprocessing.html.markup import Markup, element, joined
from preprocessing.recording import FloatArray

__all__ = ["Frame", "caption", "label", "nice_ceiling", "picture", "rectangle", "short", "steps", "upright"]


_STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)


@dataclass(frozen=True)
class Frame:
    """What a picture is called, what it shows in words, and its size in its own units."""

    name: str  # unique in the page
    title: str
    description: str
    width: float
    height: float


def picture(frame: Frame, parts: Iterable[Markup], words: str) -> Markup:
    """Write a figure: the drawing, announced by its title and description, and a caption."""
    title, description = f"{frame.name}-title", f"{frame.name}-description"
    drawing = element(
        "svg",
        element("title", frame.title, id=title),
        element("desc", frame.description, id=description),
        joined(parts, "\n"),
        viewBox=f"0 0 {short(frame.width)} {short(frame.height)}",
        role="img",
        aria_labelledby=f"{title} {description}",
    )
    return element("figure", drawing, caption(words))


def caption(words: str) -> Markup:
    """Write a figure's caption."""
    return element("figcaption", words)


def short(number: float) -> str:
    """Write a coordinate with at most one decimal."""
    written = f"{number:.1f}".removesuffix(".0")
    return "0" if written == "-0" else written


def rectangle(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """Draw a rectangle of the style class ``kind``."""
    return element("rect", x=short(x), y=short(y), width=short(width), height=short(height), class_=kind)


def upright(x: float, top: float, bottom: float, kind: str) -> Markup:
    """Draw a vertical line."""
    return element("line", x1=short(x), x2=short(x), y1=short(top), y2=short(bottom), class_=kind)


def label(x: float, y: float, words: str, kind: str = "") -> Markup:
    """Write text at a point of the picture."""
    return element("text", words, x=short(x), y=short(y), class_=f"label {kind}".strip())


def steps(heights: FloatArray, width: float, x: float = 0, y: float = 0) -> str:
    """Path of steps over ``heights`` (n,), each ``width`` wide, upwards from (x, y); NaN leaves a gap."""
    path: list[str] = []
    last = "0"
    for place, height in enumerate(np.where(heights > 0, heights, 0.0).tolist()):
        now = short(height)
        if now == last:
            continue
        left = short(x + place * width)
        path.append(f"M{left} {short(y)}" if last == "0" else f"H{left}")
        path.append(f"V{short(y - height)}")
        last = now
    if last != "0":
        path.append(f"H{short(x + heights.size * width)}V{short(y)}")
    return "".join(path)


def nice_ceiling(number: float) -> float:
    """Round up to a number that reads well on an axis; 1 for nothing."""
    if not number > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(number))
    return next((step * power for step in _STEPS if step * power >= number), 10 * power)
