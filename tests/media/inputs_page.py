"""The tables of docs/inputs.md, for the tests that try their rows."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8")


def table(name: str) -> list[tuple[str, ...]]:
    """The rows of a marked table of the page, without its head."""
    block = PAGE.split(f"<!-- begin: {name} -->\n")[1].split(f"<!-- end: {name} -->")[0]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in block.strip().split("\n")[2:]]
