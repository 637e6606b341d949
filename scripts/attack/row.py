"""A row of the table."""

import dataclasses

from context import LIGHTTPD, NGINX, SPINDLE


@dataclasses.dataclass
class Row:
    attack: str
    figure: str
    values: dict
    requirement: str = ""
    # None if there is no requirement.
    is_met: bool | None = None

    def cells(self):
        verdict = {None: "", True: "pass", False: "FAIL"}[self.is_met]
        columns = [self.values.get(name, "–") for name in (SPINDLE, NGINX, LIGHTTPD)]
        return (self.attack, self.figure, *columns, self.requirement or "–", verdict)


HEADINGS = ("attack", "figure", SPINDLE, NGINX, LIGHTTPD, "required", "")


def duration(seconds):
    """A time as text. None means that the event did not happen."""
    if seconds is None:
        return "never"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def as_text(rows):
    table = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in table]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
