"""Line charts as SVG: how a figure grows with the number or the size of something. Less is better."""

import math
from xml.sax.saxutils import escape

WIDTH, MARGIN = 860, 20
HEADING, PANEL_TITLE, LEGEND, AXIS = 62, 26, 22, 44
PLOT_HEIGHT = 170
VALUE_WIDTH = 54
RADIUS = 3

# The colours are those of chart.py. Lines of the same kind differ in their dashes.
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.heading { font-size: 15px; font-weight: 600; }
.title { font-weight: 600; }
.note { font-size: 11px; fill: #57606a; }
.tick { font-size: 11px; fill: #57606a; }
.middle { text-anchor: middle; }
.end { text-anchor: end; }
.grid { stroke: #8c959f; stroke-width: 1; opacity: 0.3; }
path { fill: none; stroke-width: 2; }
.dashed { stroke-dasharray: 5 3; }
.spindle { stroke: #c2410c; }
.null { stroke: #8c959f; }
circle.spindle, .spread.spindle { fill: #c2410c; }
circle.null { fill: #8c959f; }
.spread { stroke-width: 1; opacity: 0.6; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note, .tick { fill: #9198a1; }
  .spindle { stroke: #f97316; }
  circle.spindle { fill: #f97316; }
}
"""


def draw(heading, note, panels):
    """An SVG document. Each of the `panels` is a title, a label of the x axis, a function that writes an x, and the lines:
    name → x → (median, least, greatest). The line named `null` is grey."""
    width = (WIDTH - MARGIN) // len(panels) - MARGIN
    shapes = []
    for index, panel in enumerate(panels):
        shapes += _panel(*panel, MARGIN + index * (width + MARGIN), width)
    height = HEADING + PANEL_TITLE + LEGEND + PLOT_HEIGHT + AXIS
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(heading)}">',
        f"<style>{STYLE}</style>",
        _text(MARGIN, 24, heading, "heading"),
        _text(MARGIN, 43, note, "note"),
        *shapes,
        "</svg>\n",
    ])


def _panel(title, x_label, write_x, lines, left, width):
    top = HEADING + PANEL_TITLE + LEGEND
    bottom, start = top + PLOT_HEIGHT, left + VALUE_WIDTH
    highest, step = _scale(max(greatest for line in lines.values() for _, _, greatest in line.values()))
    at_y = lambda value: bottom - min(value / highest, 1) * PLOT_HEIGHT
    at_x = _positions(sorted({x for line in lines.values() for x in line}), start, left + width)
    shapes = [_text(left, HEADING + 14, title, "title")]
    for tick in range(round(highest / step) + 1):
        y = at_y(tick * step)
        shapes.append(f'<line class="grid" x1="{start}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        shapes.append(_text(start - 8, y + 4, _number(tick * step), "tick end"))
    free_until = left + width + MARGIN
    for x, position in reversed(at_x.items()):
        half_width = 3.5 * len(write_x(x))
        # Where the points are dense, not all have room for their label. The last one always has.
        if position + half_width <= free_until:
            shapes.append(_text(position, bottom + 18, write_x(x), "tick middle"))
            free_until = position - half_width - 6
    shapes.append(_text((start + left + width) / 2, bottom + 36, x_label, "note middle"))
    legend = left
    kinds = ["null" if name == "null" else "spindle" for name in lines]
    for index, (name, line) in enumerate(lines.items()):
        kind = kinds[index]
        dashes = " dashed" if index > kinds.index(kind) else ""
        # A single line needs no name.
        if len(lines) > 1:
            y = HEADING + PANEL_TITLE + 8
            shapes.append(f'<path class="{kind}{dashes}" d="M{legend} {y - 4}h20"/>')
            shapes.append(_text(legend + 26, y, name))
            legend += 26 + 7 * len(name) + 16
        points = [(at_x[x], *map(at_y, spread)) for x, spread in sorted(line.items())]
        path = "L".join(f"{x:.1f} {median:.1f}" for x, median, _, _ in points)
        shapes.append(f'<path class="{kind}{dashes}" d="M{path}"/>')
        for x, median, least, greatest in points:
            shapes.append(f'<line class="spread {kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{least:.1f}" y2="{greatest:.1f}"/>')
            shapes.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{median:.1f}" r="{RADIUS}"/>')
    return shapes


def _positions(xs, left, right):
    """Where each x is drawn: on a logarithmic scale, on which zero has the place of a tenth of the next one."""
    positive = [x for x in xs if x > 0]
    exponents = {x: math.log10(x) if x else math.log10(positive[0]) - 1 for x in xs}
    least, span = exponents[xs[0]], max(exponents[xs[-1]] - exponents[xs[0]], 1e-9)
    inset = 18
    return {x: left + inset + (exponent - least) / span * (right - left - 2 * inset) for x, exponent in exponents.items()}


def _scale(greatest):
    """The top of the y axis, and the distance of its lines: 3 to 6 of them, at round numbers."""
    power = 10 ** math.floor(math.log10(greatest / 3))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if greatest / step <= 6)
    return math.ceil(greatest / step) * step, step


def _number(value):
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def _text(x, y, words, kind=None):
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{attribute}>{escape(words)}</text>'
