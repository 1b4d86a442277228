"""The table of a run in Markdown, and its place in a document."""

from pathlib import Path

from cases import Case, Row
from figures import Figures

BEGIN, END = "<!-- lab: begin -->", "<!-- lab: end -->"
# By case and product.
Results = dict[str, dict[str, Figures]]


def _number(row: Row, value: float | None) -> str:
    return "–" if value is None else f"{value:.{row.digits}f}"


def _ratio(row: Row, ours: float | None, theirs: float | None) -> str:
    if not row.ratio or ours is None or not theirs:
        return ""
    return f"{ours / theirs:.2f}"


def table(cases: list[Case], results: Results) -> str:
    """One line a figure."""
    lines = ["| case | figure | Conclave | Chromium | ratio | goal |", "|---|---|---:|---:|---:|---|"]
    for case in cases:
        title = case.title
        for row in case.rows:
            both = [results.get(case.name, {}).get(product, {}).get(row.figure) for product in ("Conclave", "Chromium")]
            if both == [None, None]:
                continue
            texts = [_number(row, value) for value in both]
            if row.figure == "recovery_s":
                for at, product in enumerate(("Conclave", "Chromium")):
                    if not results[case.name].get(product, {}).get("recovered", 1.0):
                        texts[at] = f"> {texts[at]}"
            lines.append(f"| {title} | {row.words} | {texts[0]} | {texts[1]} | {_ratio(row, *both)} | {row.goal} |")
            title = ""
    return "\n".join(lines)


def write(document: Path, text: str) -> None:
    """Replaces what stands between the markers."""
    old = document.read_text()
    before, rest = old.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
