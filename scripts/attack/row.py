"""A line of the table."""

import dataclasses

from context import NGINX, SPINDLE

MET, MISSED, UNMARKED = "met", "MISSED", ""


@dataclasses.dataclass
class Row:
    attack: str
    figure: str
    values: dict
    mark: str = ""
    # None where there is no mark.
    is_met: bool | None = None

    def cells(self):
        verdict = UNMARKED if self.is_met is None else MET if self.is_met else MISSED
        columns = [self.values.get(name, "–") for name in (SPINDLE, NGINX)]
        return (self.attack, self.figure, *columns, self.mark or "–", verdict)


HEADINGS = ("attack", "figure", SPINDLE, NGINX, "mark", "")


def duration(seconds):
    """A time as text."""
    if seconds is None:
        return "never"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def as_text(rows):
    table = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in table]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
