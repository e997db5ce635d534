"""Whether hashmatch hashes what people see: every picture of some folders, next to Chromium.

`python benchmarks/compare_with_chromium.py FOLDER [FOLDER ...] --json OUT`. Chromium draws each
file to a canvas, over white; PDQ of these pixels is compared with what hashmatch makes of the file
in its decode pool, at `standard`. What is farther than 16 bits, or not read at all, stands with its
reason in `chromium_reasons.csv`, or the exit code is 1. See docs/what-people-see.md.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import json
import mimetypes
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import hashmatch as hm
from hashmatch.hashers.pdq import Pdq
from hashmatch.records.enums import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page, Playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--blink-settings=imageAnimationPolicy=2"]
"""The last asks animations to stand still; Chromium 156 draws some APNG at a later frame still."""
REASONS = Path(__file__).with_name("chromium_reasons.csv")
NEAR = 16
"""Bits that two decoders may be apart."""
SECONDS = 60
"""For Chromium to show one picture."""
PDQ = Pdq()

#: What may become of a file, and how the table says it.
CLASSES = {
    "equal": "equal",
    "near": f"within {NEAR} bits",
    "variant": f"within {NEAR} bits by another question only",
    "tiny": f"under {PDQ.min_side} pixels a side",
    "flat": f"of quality under {PDQ.min_quality} on both sides",
    "vector": "no picture of pixels (SVG)",
    "explained": "otherwise, with a reason in the table",
    "unexplained": "otherwise, WITHOUT a reason",
    "unseen": "not shown by Chromium",
}

SCRIPT = """async ([picture, answer]) => {
  const image = new Image();
  image.src = picture;
  document.body.replaceChildren(image);
  try { await image.decode(); } catch { return null; }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  if (!canvas.width || !canvas.height) return null;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  document.body.replaceChildren();
  await fetch(answer, { method: "POST", body: pixels });
  return [canvas.width, canvas.height];
}"""


class Seen(NamedTuple):
    """What a picture looks like: its PDQ as hexadecimal digits."""

    width: int
    height: int
    pdq: str
    quality: int


class Site:
    """A page on this machine that has one picture at a time, and takes its pixels."""

    def __init__(self) -> None:
        self.file: Path | None = None
        self.pixels = b""

    @contextmanager
    def served(self) -> Iterator[str]:
        """Yield the address."""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/" or site.file is None:
                    self._answer(b"<!doctype html><title>pictures</title>", "text/html")
                else:
                    kind, _ = mimetypes.guess_type(site.file.name)
                    kind = kind if kind and kind.startswith("image/") else "image/png"
                    self._answer(site.file.read_bytes(), kind)

            def do_POST(self) -> None:
                site.pixels = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(b"", "text/plain")

            def _answer(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                with suppress(ConnectionError):  # the browser was ended meanwhile
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            server.server_close()


class Chromium:
    """A headless Chromium that is started anew where a picture has broken it."""

    def __init__(self, playwright: Playwright, executable: str, address: str, site: Site) -> None:
        self._playwright, self._executable = playwright, executable
        self._address, self._site = address, site
        self._page: Page | None = None
        self._shown = 0
        self.version = ""

    def show(self, file: Path) -> Seen | None:
        """Return what is seen of a file; None if nothing is."""
        self._site.file = file
        self._shown += 1
        try:
            size = self._draw(f"{self._address}picture-{self._shown}")
        except Exception as error:  # whatever has become of the browser
            print(f"{file}: Chromium: {str(error).splitlines()[0]}", file=sys.stderr)
            self.close()
            return None
        if size is None:
            return None
        width, height = size
        pixels = np.frombuffer(self._site.pixels, np.uint8).reshape(height, width, 4)[..., :3]
        hashes, quality = PDQ.hash(np.ascontiguousarray(pixels))
        return Seen(width, height, hashes.words[0].tobytes().hex(), quality or 0)

    def _draw(self, picture: str) -> tuple[int, int] | None:
        """Draw a picture, or give up: what holds the page's thread is ended with its browser."""
        if self._page is None:
            browser = self._playwright.chromium.launch(
                executable_path=self._executable, args=ARGUMENTS
            )
            self.version = browser.version
            self._page = browser.new_page()
            self._page.goto(self._address)
        drawn = f"window.drawn = undefined; ({SCRIPT})(told).then(size => window.drawn = [size])"
        self._page.evaluate(f"told => {{ {drawn} }}", [picture, f"{self._address}pixels"])
        self._page.wait_for_function("window.drawn !== undefined", timeout=SECONDS * 1000)
        size: tuple[int, int] | None = self._page.evaluate("window.drawn[0]")
        return size

    def close(self) -> None:
        """End the browser."""
        if self._page is not None and self._page.context.browser is not None:
            self._page.context.browser.close()
        self._page = None


def compared(name: str, file: Path, seen: Seen | None, pool: hm.DecodePool) -> dict[str, Any]:
    """Return a row about one file."""
    hashed = hm.hash_all(file, ["pdq"], variants="standard", min_quality=0, decode=pool)
    first = hashed[0]
    row: dict[str, Any] = {
        "file": name,
        "seen": seen._asdict() if seen else None,
        "outcome": first.outcome.value,
        "why": first.reason,
        "size": [first.width, first.height],
        "quality": first.quality,
        "damaged": first.damaged,
        "media_type": first.media_type,
        "frames": 1 + max(one.frame for one in hashed),
    }
    if seen is None:
        return row | {"class": "unseen"}
    if first.outcome is not Outcome.HASHED:
        if first.outcome is Outcome.TOO_SMALL:
            return row | {"class": "tiny"}
        return row | {"class": "vector" if file.suffix == ".svg" else "unexplained"}
    wanted = np.frombuffer(bytes.fromhex(seen.pdq), np.uint64)
    bits = {
        f"frame {one.frame}/{variant}" if one.frame else variant: int(distance)
        for one in reversed(hashed)
        if one.outcome is Outcome.HASHED
        for variant, distance in zip(
            one.variants, np.bitwise_count(one.hashes.words ^ wanted).sum(axis=1), strict=True
        )
    }
    plain = int(np.bitwise_count(first.hashes.words[0] ^ wanted).sum())
    nearest = min(bits, key=lambda variant: bits[variant])
    row |= {"bits": plain, "nearest": nearest, "nearest_bits": bits[nearest]}
    return row | {"class": _class(row)}


def _class(row: dict[str, Any]) -> str:
    if row["bits"] <= NEAR:
        return "near" if row["bits"] else "equal"
    if max(row["quality"], row["seen"]["quality"]) < PDQ.min_quality:
        return "flat"
    return "variant" if row["nearest_bits"] <= NEAR else "unexplained"


def reason_for(name: str, reasons: list[tuple[str, str]]) -> str:
    """Return the first reason whose pattern a file's name is of; "" if there is none."""
    return next((reason for pattern, reason in reasons if fnmatch.fnmatch(name, pattern)), "")


def files_of(folders: list[Path]) -> Iterator[tuple[str, Path]]:
    """Yield each file, called by the name of its folder and its path there."""
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                yield f"{folder.name}/{file.relative_to(folder)}", file


def main(arguments: list[str] | None = None) -> int:
    """Compare, print a table, and return 1 if anything is left without a reason."""
    parser = argparse.ArgumentParser(description="Compare with what Chromium shows.")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--chromium", default=CHROMIUM, metavar="PATH")
    parser.add_argument("--json", type=Path, metavar="OUT", help="a row for each file")
    parser.add_argument(
        "--seen", type=Path, metavar="JSON", help="take what Chromium shows from an earlier OUT"
    )
    parser.add_argument("--only", default="*", metavar="GLOB", help="files of such names")
    told = parser.parse_args(arguments)
    from playwright.sync_api import sync_playwright

    with REASONS.open(newline="") as table:
        reasons = [(row["files"], row["reason"]) for row in csv.DictReader(table)]
    earlier: dict[str, Any] = json.loads(told.seen.read_text()) if told.seen else {"files": []}
    known = {row["file"]: row["seen"] for row in earlier["files"]}
    rows: list[dict[str, Any]] = []
    site = Site()
    began = time.monotonic()
    with site.served() as address, sync_playwright() as playwright, hm.DecodePool(1) as pool:
        browser = Chromium(playwright, told.chromium, address, site)
        for name, file in files_of(told.folders):
            if not fnmatch.fnmatch(name, told.only):
                continue
            if name in known:
                seen = Seen(**known[name]) if known[name] else None
            else:
                seen = browser.show(file)
            row = compared(name, file, seen, pool)
            row["reason"] = reason_for(name, reasons)
            if row["class"] == "unexplained" and row["reason"]:
                row["class"] = "explained"
            rows.append(row)
        browser.close()
    versions = {
        "chromium": browser.version or earlier.get("chromium", ""),
        **{name: version(name) for name in ("hashmatch", "pillow", "pillow_heif", "imagecodecs")},
    }
    if told.json:
        told.json.write_text(json.dumps({**versions, "files": rows}, indent=0))
    print(", ".join(f"{name} {number}" for name, number in versions.items()))
    report(rows)
    print(f"{len(rows)} files in {time.monotonic() - began:.0f} s")
    return int(any(row["class"] == "unexplained" for row in rows))


def report(rows: list[dict[str, Any]]) -> None:
    """Print how many files there are of each class, and the odd ones by name."""
    counted = Counter(row["class"] for row in rows)
    shown = len(rows) - counted["unseen"]
    print(f"\n| of {shown} files that Chromium shows | |\n|---|---|")
    for name, title in CLASSES.items():
        print(f"| {title} | {counted[name]} |")
    animated = Counter(row["class"] for row in rows if row["seen"] and row["frames"] > 1)
    print(f"\nOf several frames or pages, by the first: {dict(animated)}")
    for name in ("variant", "explained", "unexplained"):
        print(f"\n{CLASSES[name]}:")
        for row in rows:
            if row["class"] == name:
                print(f"  {row['file']}: {_told(row)}")


def _told(row: dict[str, Any]) -> str:
    """Return what is odd about a row."""
    if "bits" not in row:
        return f"{row['outcome']}: {row['why']}. {row['reason']}"
    return (
        f"{row['bits']} bits, {row['nearest_bits']} as {row['nearest']}, quality {row['quality']} "
        f"and {row['seen']['quality']}{', damaged' if row['damaged'] else ''}. {row['reason']}"
    )


if __name__ == "__main__":
    sys.exit(main())
