"""The pictures and tables of the report: HTML and SVG that need no script, no font and no other host.

``markup`` and ``svg`` write elements and escape every text; ``words`` says numbers, dates and codes in plain
words; ``actogram``, ``day`` and ``attention`` draw; ``tables`` and ``closing`` list; ``style`` is the sheet.
"""

__all__ = ["actogram", "attention", "closing", "day", "markup", "style", "svg", "tables", "words"]
