"""Draws the pictures of the review page that the documentation shows, with Chromium.

``python docs/screenshots.py [FOLDER]`` takes each page at two widths, light and dark, into FOLDER;
without one, those in `SHOWN` go to docs/_static. Only pictures drawn for the tests are in them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from chromium_pages import COLOURFUL, at_step, browsing, chromium, log_in, take  # noqa: E402
from review_pages import ReviewSite, filled, lively, served  # noqa: E402

SHOWN = (
    "review-case-1280-light.png",
    "review-case-390-dark.png",
    "review-statistics-1280-light.png",
)
PHONE, DESKTOP = (390, 844), (1280, 900)


def take_pictures(folder: Path, size: tuple[int, int], scheme: str) -> None:
    """Write the queue, a case with its picture covered, and the statistics, as they look."""
    suffix = f"{size[0]}-{scheme}"
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        queue, busy = Path(temporary, "queue"), Path(temporary, "busy")
        queue.mkdir()
        busy.mkdir()
        playwright = stack.enter_context(chromium())
        site = ReviewSite(stack.enter_context(served(filled(queue, names=(COLOURFUL,)))))
        statistics = ReviewSite(stack.enter_context(served(lively(busy))))
        browser = stack.enter_context(browsing(playwright, Path(temporary), size, scheme))
        page = browser.new_page()
        log_in(page, site)
        page.screenshot(path=folder / f"review-queue-{suffix}.png")
        take(page)
        page.locator("#ask").click()
        at_step(page, 0)
        page.screenshot(path=folder / f"review-case-{suffix}.png")
        log_in(page, statistics)
        page.get_by_role("link", name="Statistics").click()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / f"review-statistics-{suffix}.png")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as own:
        given = Path(sys.argv[1] if len(sys.argv) > 1 else own)
        for each in product((PHONE, DESKTOP), ("light", "dark")):
            take_pictures(given, *each)
        if len(sys.argv) == 1:
            for name in SHOWN:
                shutil.copy(given / name, ROOT / "docs" / "_static")
