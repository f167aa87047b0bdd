"""Tables that line up, which are Markdown at the same time."""

from statistics import median


def table(head: list[str], rows: list[list[str]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: list[str]) -> str:
        first, *others = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths))
        ]
        return "| " + " | ".join([first, *others]) + " |"

    rule = (
        "|"
        + "|".join("-" * (width + 2) if column == 0 else "-" * (width + 1) + ":" for column, width in enumerate(widths))
        + "|"
    )
    return "\n".join([line(head), rule, *(line(row) for row in rows)])


def ratio(own: list[float], yardstick: list[float]) -> float:
    """The median, over the rounds, of what the candidate did to what the yardstick did in the same round."""
    return median(mine / other for mine, other in zip(own, yardstick) if other)


def thousands(value: float) -> str:
    return f"{value:,.0f}"
