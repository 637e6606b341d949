"""Makes tables of samples: each cell is a median with the least and greatest value."""

import statistics

from servers import CONTROL, NULL, OTHERS

HEADINGS = ("", "requests/s", "CPU per request, µs", "× null", "× best other", "p50, µs", "p99, µs", "memory, MiB")


def figures(workload, samples):
    """For each server: name → (median, least, greatest) of each figure. Ratios are computed for each round."""
    best = best_other(samples)
    result = {}
    for name, own in samples.items():
        cpu_us = [sample.cpu_ns_per_request / 1000 for sample in own]
        row = {
            "requests/s": spread([sample.requests_per_s for sample in own]),
            "MB/s": spread([sample.bytes_per_s / 1e6 for sample in own]),
            "cpu_us": spread(cpu_us),
            "memory_mib": spread([sample.resident_bytes / 2**20 for sample in own]),
        }
        # wrk can compute latencies only without pipelining, and only if some requests were completed.
        if workload.depth == 1 and all(sample.p99_us for sample in own):
            row["p50_us"] = spread([sample.p50_us for sample in own])
            row["p99_us"] = spread([sample.p99_us for sample in own])
        for key, reference in (("to_null", NULL), ("to_best_other", best)):
            if reference in samples and name != reference:
                pairs = zip(own, samples[reference])
                row[key] = spread([one.cpu_ns_per_request / other.cpu_ns_per_request for one, other in pairs])
        result[name] = row
    return result


def best_other(samples):
    """The name of the other server that needs the least processor time."""
    others = [name for name in OTHERS if name in samples]
    key = lambda name: statistics.median(sample.cpu_ns_per_request for sample in samples[name])
    return min(others, key=key, default=None)


def spread(values):
    """Median, least and greatest."""
    return statistics.median(values), min(values), max(values)


def rows(workload, result):
    """The cells of the table, starting with the headings."""
    throughput = "MB/s" if workload.counts_bytes else "requests/s"
    headings = (HEADINGS[0], throughput, *HEADINGS[2:])
    keys = (throughput, "cpu_us", "to_null", "to_best_other", "p50_us", "p99_us", "memory_mib")
    table = [headings]
    for name, row in result.items():
        label = "null again (control)" if name == CONTROL else name
        table.append((label, *(cell(row.get(key)) for key in keys)))
    return table


def cell(three):
    """A spread as text."""
    if three is None:
        return ""
    median, least, greatest = (_number(value) for value in three)
    return f"{median} ({least}–{greatest})"


def _number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def as_text(table):
    """For a terminal, with aligned columns."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = []
    for row in table:
        first, *others = (cell.ljust(width) if column == 0 else cell.rjust(width)
                          for column, (cell, width) in enumerate(zip(row, widths)))
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def as_markdown(table):
    line = lambda cells: "| " + " | ".join(cells) + " |"
    rule = line(["---"] + ["---:"] * (len(table[0]) - 1))
    return "\n".join([line(table[0]), rule, *map(line, table[1:])])
