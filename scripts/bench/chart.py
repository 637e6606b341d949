"""A bar chart as SVG: the processor time of a request, for each workload and server. Shorter is better."""

from xml.sax.saxutils import escape

from servers import BASELINE, CONTROL, NULL, SPINDLE

COLUMNS = 2
WIDTH, MARGIN = 860, 20
PANEL_WIDTH = (WIDTH - MARGIN) // COLUMNS - MARGIN
ROW, BAR = 20, 13
HEADING, PANEL_TITLE, PANEL_GAP = 62, 26, 18
LABEL_WIDTH, VALUE_WIDTH = 70, 80
BAR_WIDTH = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH

# An image does not inherit the colours of the page, so the chart has colours for light and for dark ones.
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.heading { font-size: 15px; font-weight: 600; }
.title { font-weight: 600; }
.note { font-size: 11px; fill: #57606a; }
.spindle { fill: #c2410c; }
.null { fill: #8c959f; }
.other { fill: #54738f; }
.spread { stroke: #24292f; stroke-width: 1; opacity: 0.6; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .spindle { fill: #f97316; }
  .other { fill: #7d9ab5; }
  .spread { stroke: #e6edf3; }
}
"""


def draw(heading, note, panels):
    """An SVG document. `panels` contains a title and the figures of the table for each workload."""
    shapes, bottoms = [], [HEADING] * COLUMNS
    for title, figures in panels:
        bars = [(name, *row["cpu_us"]) for name, row in figures.items() if name != CONTROL]
        column = bottoms.index(min(bottoms))
        left, top = MARGIN + column * (PANEL_WIDTH + MARGIN), bottoms[column]
        shapes += _panel(title, bars, left, top)
        bottoms[column] = top + PANEL_TITLE + ROW * len(bars) + PANEL_GAP
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {max(bottoms)}" role="img" '
        f'aria-label="{escape(heading)}">',
        f"<style>{STYLE}</style>",
        _text(MARGIN, 24, heading, "heading"),
        _text(MARGIN, 43, note, "note"),
        *shapes,
        "</svg>\n",
    ])


def _panel(title, bars, left, top):
    longest = max(greatest for _, _, _, greatest in bars)
    shapes = [_text(left, top + 14, title, "title")]
    for index, (name, median, least, greatest) in enumerate(bars):
        middle = top + PANEL_TITLE + index * ROW + ROW // 2
        start = left + LABEL_WIDTH
        kind = {NULL: "null", SPINDLE: "spindle", BASELINE: "spindle"}.get(name, "other")
        width, low, high = (value / longest * BAR_WIDTH for value in (median, least, greatest))
        label = name.removeprefix("spindle ")
        shapes += [
            _text(left, middle + 4, label),
            f'<rect class="{kind}" x="{start}" y="{middle - BAR / 2}" width="{width:.1f}" height="{BAR}" rx="2"/>',
            f'<line class="spread" x1="{start + low:.1f}" x2="{start + high:.1f}" y1="{middle}" y2="{middle}"/>',
            _text(start + BAR_WIDTH + 8, middle + 4, _duration(median)),
        ]
    return shapes


def _text(x, y, words, kind=None):
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{attribute}>{escape(words)}</text>'


def _duration(us):
    value, unit = (us / 1000, "ms") if us >= 1000 else (us, "µs")
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}" if value >= 10 else f"{value:.2f} {unit}"
