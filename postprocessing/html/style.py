"""The style sheet of the report: sober on a screen, and made for A4 paper."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 60rem; background: #fff; color: #1f2933;
  font: 1rem/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; font-weight: 600; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; font-weight: 600; margin: 2.2rem 0 .5rem; padding-top: .6rem;
  border-top: 1px solid #d5dbe1; break-after: avoid; }
p, ul { margin: .4rem 0; max-width: 46rem; }
ul { padding-left: 1.2rem; }
.statement { border-left: 3px solid #52606d; padding: .3rem .8rem; background: #f5f7fa; font-weight: 600; }
figure { margin: .8rem 0; break-inside: avoid; }
figcaption, caption { font-size: .84rem; color: #3e4c59; text-align: left; }
figcaption { max-width: 46rem; margin-top: .2rem; }
caption { padding: .2rem 0; caption-side: top; }
svg { display: block; width: 100%; height: auto; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; margin: .6rem 0;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0;
  border-bottom: 1px solid #e4e7eb; }
thead th { border-bottom: 1px solid #7b8794; font-weight: 600; }
tbody th { font-weight: 500; }
tr { break-inside: avoid; }
code { font: .92em ui-monospace, "DejaVu Sans Mono", Consolas, monospace; overflow-wrap: break-word; }
.digest { overflow-wrap: anywhere; }
.numbers td:nth-child(2), .nights tbody th, .nights td:not(:last-child) { white-space: nowrap; }
.nights thead th { vertical-align: bottom; }
.absent { color: #52606d; }
.label { font: 9px system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #1f2933; }
.end { text-anchor: end; } .middle { text-anchor: middle; }
.bar { fill: #334e68; } .grid { stroke: #d5dbe1; stroke-width: .6; }
.axis { stroke: #7b8794; stroke-width: .8; }
.rest { fill: #e3ecf6; } .sleep { fill: #b9cfe8; }
.paper { fill: #fff; fill-opacity: .88; }
.change { fill: #c2410c; fill-opacity: .16; } .changeline { stroke: #c2410c; stroke-width: 1; }
.changelabel { fill: #9a3412; font-size: 7.5px; }
.low { fill: #dbe7f4; } .high { fill: #f6ead0; } .curve { fill: none; stroke: #7c2d12; stroke-width: 1.1;
  stroke-dasharray: 4 3; } .even { stroke: #7b8794; stroke-width: .7; stroke-dasharray: 3 3; }
.hatch { stroke-width: 1; } .off { stroke: #b08945; } .gap { stroke: #9aa5b1; }
.offground { fill: #fbf6ea; } .gapground { fill: #f5f7fa; }
.isoff { fill: url(#off); } .isgap { fill: url(#gap); } .box { stroke: #9aa5b1; stroke-width: .5; }
@page { size: A4; margin: 14mm 13mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 9.5pt; line-height: 1.35;
    print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h1 { font-size: 15pt; } h2 { font-size: 11.5pt; margin-top: 6mm; }
  .table { overflow: visible; } table { font-size: 8pt; } figcaption, caption { font-size: 8pt; }
  p, ul, figcaption { max-width: none; }
}
"""
