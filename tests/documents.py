"""What is written for people: README, the pages below docs, and their code blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in PAGES}
EVERYTHING = "\n".join(TEXTS.values())


class Block(NamedTuple):
    """A fenced block: its page and line, its language, and what is in it."""

    page: str
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def _blocks_of(page: str) -> list[Block]:
    text = TEXTS[page]
    return [
        Block(page, text[: found.start()].count("\n") + 1, found[1], found[2])
        for found in re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE)
    ]


BLOCKS = [block for page in TEXTS for block in _blocks_of(page)]


def blocks(language: str, page: str | None = None) -> list[Block]:
    """Return the blocks in `language`, of all pages or of one."""
    return [one for one in BLOCKS if one.language == language and page in (None, one.page)]


def table(head: str) -> list[list[str]]:
    """Return the cells of the rows of the one table that begins with the line `head`."""
    (text,) = (text for text in TEXTS.values() if head in text)
    lines = text.split(head)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub and MyST make them."""
    headings = re.findall(r"^#{1,6} (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text).strip().lower().replace(" ", "-") for text in headings}
