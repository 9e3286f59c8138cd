"""The pages of the documentation, and the little Markdown that the tests read: sections, tables, links, blocks."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
"""Every page, by its path."""

CELL_BORDER = re.compile(r"(?<!\\)\|")

FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def text(page: str) -> str:
    """A page's text, by its path from the root of the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def sections(page: str, level: int = 2) -> dict[str, str]:
    """What stands below each heading of this level, up to the next one of the same level."""
    parts = re.split(rf"^{'#' * level} (.+)$", text(page), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def rows(markdown: str) -> list[list[str]]:
    """The cells of every table row, headings and rules left out."""
    lines = [line.strip() for line in markdown.splitlines() if line.lstrip().startswith("|")]
    rules = {index for index, line in enumerate(lines) if re.fullmatch(r"[|\s:-]+", line)}
    return [
        [cell.strip() for cell in CELL_BORDER.split(line)[1:-1]]
        for index, line in enumerate(lines)
        if index not in rules and index + 1 not in rules
    ]


def quoted(markdown: str) -> list[str]:
    """Everything in backticks, in order."""
    return re.findall(r"`([^`\n]+)`", markdown)


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks in this language, dedented."""
    found = FENCED.findall(text(page))
    return [
        re.sub(r"^ {3}", "", body, flags=re.MULTILINE) if body[:3] == "   " else body
        for kind, body in found
        if kind == language
    ]


def links(page: Path) -> list[str]:
    """Where a page's links lead, those out of the repository left out."""
    found = re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text(encoding="utf-8")))
    return [link for link in found if "://" not in link]


def anchors(page: Path) -> set[str]:
    """What a link may name behind `#`, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def sources(*packages: str) -> str:
    """The code of these packages in one text."""
    return "\n".join(path.read_text(encoding="utf-8") for p in packages for path in sorted((ROOT / p).rglob("*.py")))
