"""Which tools' hashes match ours: install each in a folder of its own, and probe its hashes.

By name, never in CI, since it asks package registries:

    python -m benchmarks.other_tools --folder /somewhere [--photographs FOLDER ...] [TOOL ...]

Every tool is given the same pixels, as PNG files in RGB, and what it says of them goes through
`hashmatch.lists.probe`. Prints the table of docs/lists-from-other-tools.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.photographs import in_folders, shipped
from hashmatch.errors import UsageError
from hashmatch.lists.probe import KnownPicture, probe
from hashmatch.testing import picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashmatch.lists.probe import Found, Probe

SIDE = 1150
"""Pixels of the longer side of what is hashed: above the 512 that tell PDQ's profiles apart."""
MOST = 38
"""Photographs of folders."""
DRAWN = 6
"""Pictures of our own."""
PATIENCE = 900
"""Seconds for an installation, and for the hashes of one tool."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A package, and code with which it hashes a picture.

    The code defines ``hashes(path)``, which returns the text of each of its hashes by name; in
    JavaScript it may return a promise.
    """

    name: str
    version: str
    code: str
    beside: tuple[str, ...] = ()
    """What it has to have installed beside it."""
    is_javascript: bool = False
    without_dependencies: bool = False


def python(name: str, version: str, code: str, *beside: str, bare: bool = False) -> Tool:
    """Return a tool from PyPI."""
    return Tool(name, version, code, beside, without_dependencies=bare)


def javascript(name: str, version: str, code: str, *beside: str) -> Tool:
    """Return a tool from npm."""
    return Tool(name, version, code, beside, is_javascript=True)


PILLOW = ("pillow==13.0.0", "numpy==2.4.6")
IMAGEHASH = """
def hashes(path):
    image = Image.open(path)
    names = "phash", "dhash", "average_hash", "whash", "dhash_vertical"
    return {name: str(getattr(tool, name)(image)) for name in names if hasattr(tool, name)}
"""
TOOLS = [
    python("imagehash", "4.3.2", "import imagehash as tool\nfrom PIL import Image" + IMAGEHASH
           + """
small = hashes
def hashes(path):
    return small(path) | {
        "phash, hash_size=16": str(tool.phash(Image.open(path), hash_size=16))
    }
""", *PILLOW),
    python("imha", "0.2.0", "import imha as tool\nfrom PIL import Image" + IMAGEHASH
           + """
plain = hashes
def hashes(path):
    image = Image.open(path)
    one = tool.dhash(image)
    return plain(path) | {"dhash, uint()": str(one.uint()), "dhash, int()": str(int(one))}
""", *PILLOW),
    python("rosetta-squint-hash", "1.0.1",
           "import rosetta_squint_hash as tool\nfrom PIL import Image" + IMAGEHASH),
    python("pdqhash", "0.2.8", """
import numpy as np, pdqhash
from PIL import Image
def hashes(path):
    bits, _ = pdqhash.compute(np.asarray(Image.open(path)))
    return {"PDQ": np.packbits(bits).tobytes().hex()}
""", *PILLOW),
    python("threatexchange", "1.2.17", """
from pathlib import Path
from threatexchange.signal_type.pdq.signal import PdqSignal
def hashes(path):
    return {"PDQ": PdqSignal.hash_from_file(Path(path))}
""", "pdqhash==0.2.8", *PILLOW),
    python("perception", "0.9.3", """
from perception import hashers
made = {"PDQHash": hashers.PDQHash(), "PHash": hashers.PHash(), "DHash": hashers.DHash(),
        "AverageHash": hashers.AverageHash(), "WaveletHash": hashers.WaveletHash()}
def hashes(path):
    return {name: one.compute(path) for name, one in made.items()}
""", "pdqhash==0.2.8", *PILLOW),
    python("phim", "0.0.6", """
import numpy as np, phim
from PIL import Image
def hashes(path):
    image = Image.open(path)
    return {"PDQ": np.asarray(phim.compute_pdq_hashes(image)[0])[0].tobytes().hex(),
            "pHash": np.asarray(phim.compute_phash(image)).tobytes().hex()}
""", "scipy", "pdqhash==0.2.8", *PILLOW),
    python("imagededup", "0.3.3.post2", """
import sys, types
# Its neural network needs PyTorch, its hashes do not.
for name in ("methods.cnn", "utils.models", "utils.data_generator"):
    sys.modules["imagededup." + name] = types.SimpleNamespace(
        CNN=None, CustomModel=None, MobilenetV3=None, ViT=None, EfficientNet=None,
        DEFAULT_MODEL_NAME="", img_dataloader=None)
from imagededup import methods
made = {name: getattr(methods, name)() for name in ("PHash", "DHash", "AHash", "WHash")}
def hashes(path):
    return {name: one.encode_image(path) for name, one in made.items()}
""", "scipy", "PyWavelets", "tqdm", "scikit-learn", "matplotlib", *PILLOW, bare=True),
    python("imgdd", "0.1.5", """
import os, shutil, tempfile
import imgdd
def hashes(path):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(path, folder)
        return {f"{algo}, {filter}": next(iter(
                    imgdd.hash(folder, filter=filter, algo=algo).values()))
                for algo in ("pHash", "dHash", "aHash", "wHash")
                for filter in ("Triangle", "Lanczos3", "Nearest")}
"""),
    python("python-libphash", "2.0.2.0", """
import libphash
names = "phash", "whash", "ahash", "dhash"
def hashes(path):
    with libphash.ImageContext() as context:
        context.load_file(path)
        found = {name: getattr(context, name) for name in names}
        found = {name: one() if callable(one) else one for name, one in found.items()}
    return {name: libphash.hash_to_hex(one) for name, one in found.items()} | {
        "phash as a number": str(int(found["phash"]))}
""", *PILLOW),
    python("opencv-contrib-python-headless", "4.11.0.86", """
import cv2
made = {"PHash": cv2.img_hash.PHash_create(), "AverageHash": cv2.img_hash.AverageHash_create(),
        "BlockMeanHash": cv2.img_hash.BlockMeanHash_create()}
def hashes(path):
    image = cv2.imread(path)
    return {name: one.compute(image).tobytes().hex() for name, one in made.items()}
""", "numpy==2.4.6"),
    python("dhash", "1.4", """
import dhash
from PIL import Image
def hashes(path):
    image = Image.open(path)
    row, column = dhash.dhash_row_col(image)
    whole = str(dhash.dhash_int(image))
    return {"row": f"{row:016x}", "column": f"{column:016x}", "dhash_int": whole}
""", "pillow==11.3.0"),
    python("threatengine", "0.3.0", """
import threatengine
def hashes(path):
    return {"PDQ": threatengine.pdq_hash_file(path)[0]}
"""),
    python("phash-blockhashio", "0.1.4", """
import blockhash.core as core
from PIL import Image
def hashes(path):
    image = Image.open(path)
    return {f"blockhash {bits}": core.blockhash(image, bits) for bits in (8, 16)}
""", "pillow==9.5.0"),
    python("photo-dna-rs", "0.1.0", """
import photo_dna_rs
def hashes(path):
    return {"PhotoDNA": photo_dna_rs.Hash.from_image_path(path).to_hex_str()}
"""),
    javascript("imghash", "1.1.4", """
const imghash = require("imghash").default ?? require("imghash");
exports.hashes = async path => ({
  "hash, 8": await imghash.hash(path, 8),
  "hash, 16": await imghash.hash(path, 16),
  "hash, 8, binary": await imghash.hash(path, 8, "binary"),
});
"""),
    javascript("blockhash-core", "0.1.0", """
const {bmvbhash, bmvbhashEven} = require("blockhash-core");
const {PNG} = require("pngjs"), fs = require("fs");
exports.hashes = path => {
  const image = PNG.sync.read(fs.readFileSync(path));
  return {"bmvbhash, 8": bmvbhash(image, 8), "bmvbhash, 16": bmvbhash(image, 16),
          "bmvbhashEven, 16": bmvbhashEven(image, 16)};
};
""", "pngjs@7.0.0"),
    javascript("image-hash", "7.0.1", """
const {imageHash} = require("image-hash");
const one = (path, precise) => new Promise((done, fail) => imageHash(
  path, 16, precise, (error, text) => error ? fail(error) : done(text)));
exports.hashes = async path => (
  {"precise": await one(path, true), "quick": await one(path, false)});
"""),
    javascript("browser-image-hash", "0.0.7", """
const {createCanvas, Image: Loaded} = require("@napi-rs/canvas"), fs = require("fs");
const {pathToFileURL, fileURLToPath} = require("url");
const document = {createElement: () => Object.assign(createCanvas(1, 1), {setAttribute() {}})};
globalThis.document = document;
globalThis.HTMLImageElement = Loaded;
globalThis.CanvasRenderingContext2D = createCanvas(1, 1).getContext("2d").constructor;
globalThis.window = {document};
globalThis.Image = class extends Loaded {
  set src(url) { super.src = fs.readFileSync(fileURLToPath(url)); }
  get src() { return super.src; }
};
exports.hashes = async path => {
  const tool = await import("browser-image-hash"), found = {};
  const names = {pHash: "PerceptualHashBuilder", dHash: "DifferenceHashBuilder",
                 aHash: "AverageHashBuilder", wHash: "WaveletHashBuilder"};
  for (const [name, builder] of Object.entries(names))
    found[name] = (await new tool[builder]().build(pathToFileURL(path))).toString();
  return found;
};
""", "@napi-rs/canvas"),
    javascript("sharp-phash", "2.2.0", """
const phash = require("sharp-phash");
exports.hashes = async path => ({"phash": await phash(path)});
""", "sharp"),
]  # fmt: skip

CALL_PYTHON = """

import json, sys
for path in sys.stdin.read().split("\\n"):
    print("hashes", json.dumps(hashes(path)), flush=True)
"""
CALL_JAVASCRIPT = """
(async () => {
  for (const path of require("fs").readFileSync(0, "utf8").split("\\n"))
    console.log("hashes " + JSON.stringify(await exports.hashes(path)));
  process.exit(0);
})().catch(error => { console.error(String(error)); process.exit(1); });
"""


def installed(tool: Tool, folder: Path) -> list[str]:
    """Install a tool in a folder of its own, once, and return how its code is run."""
    home, done = folder / "tools" / tool.name, folder / "tools" / tool.name / "installed"
    home.mkdir(parents=True, exist_ok=True)
    if tool.is_javascript:
        program = ["node", str(home / "code.js")]
        packages = [f"{tool.name}@{tool.version}", *tool.beside]
        commands = [["npm", "install", "--silent", "--no-audit", "--no-fund", *packages]]
        (home / "package.json").write_text('{"private": true}\n')
    else:
        pip = [str(home / "venv/bin/pip"), "install", "-q", "--disable-pip-version-check"]
        program = [str(home / "venv/bin/python"), str(home / "code.py")]
        own = f"{tool.name}=={tool.version}"
        commands = [[sys.executable, "-m", "venv", str(home / "venv")]]
        if tool.without_dependencies:
            commands += [[*pip, "--no-deps", own], [*pip, *tool.beside]]
        else:
            commands.append([*pip, own, *tool.beside])
    wanted = json.dumps(commands)
    if not done.exists() or done.read_text() != wanted:
        for command in commands:
            _call(command, home)
        done.write_text(wanted)
    code = tool.code + (CALL_JAVASCRIPT if tool.is_javascript else CALL_PYTHON)
    Path(program[-1]).write_text(code)
    return program


def _call(command: list[str], home: Path, text: str = "") -> str:
    """Run a command and return what it prints; RuntimeError with its last line if it fails."""
    done = subprocess.run(
        command, cwd=home, input=text, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
        raise RuntimeError(said[-1][:200])
    return done.stdout


def hashes_of(tool: Tool, folder: Path, paths: Sequence[Path]) -> dict[str, list[str]]:
    """Return each hash that a tool makes of all pictures, in their order."""
    said = _call(installed(tool, folder), folder / "tools" / tool.name, "\n".join(map(str, paths)))
    lines = [line.partition(" ")[2] for line in said.splitlines() if line.startswith("hashes ")]
    found: dict[str, list[str]] = {}
    for line in lines:
        for name, text in json.loads(line).items():
            found.setdefault(name, []).append(text)
    return found


def pictures(folder: Path, photographs: Sequence[Path]) -> list[Path]:
    """Write what is hashed, drawn and photographed, as PNG in RGB; return the files."""
    images = [Image.fromarray(picture(seed, 1150, 860)) for seed in range(DRAWN)]
    found = in_folders(photographs) if photographs else shipped()
    step = max(1, len(found) // MOST)
    images += [each.image(SIDE) for each in found[::step][:MOST]]
    paths = []
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        path = folder / "pictures" / f"{number:03}.png"
        image.save(path)
        paths.append(path.resolve())
    return paths


def row(tool: Tool, name: str, found: Probe) -> str:
    """Return a row of the table, in Markdown."""
    best = found.best or (found.nearest[0] if found.nearest else None)
    cells = [f"{tool.name} {tool.version}", name]
    if best is None:
        return _line(*cells, "-", "-", "-", "-", found.verdict)
    algorithm = (
        best.what.source.algorithm if found.best else f"nearest is {best.what.source.algorithm}"
    )
    told = " ".join(found.options[2:]) or ("as it is" if found.options else "-")
    within = (
        "-" if best.within is None or not found.best else f"{best.within} of {len(best.distances)}"
    )
    return _line(*cells, algorithm, told, _bits(best), within, found.verdict)


def _bits(found: Found) -> str:
    away = np.array(found.distances)
    middle, most = np.median(away), away.max()
    equal = int((away == 0).sum())
    return (
        f"{middle:g} / {np.percentile(away, 95):.3g} / {most} of {found.what.source.bits} "
        f"({equal} of {len(away)})"
    )


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def table(folder: Path, tools: Sequence[Tool], photographs: Sequence[Path]) -> Iterator[str]:
    """Yield the lines of the table, each as soon as it is known."""
    paths, known = [], []
    for path in pictures(folder, photographs):
        with suppress(UsageError):  # too plain for its hashes to tell anything
            one = KnownPicture(path)
            if one.ours:
                known.append(one)
                paths.append(path)
    yield f"{len(paths)} pictures of {SIDE} pixels, {DRAWN} of them drawn."
    yield ""
    yield _line(
        "tool", "its hash", "here", "options of `list import`",
        "bits off: median / 95 % / most (equal)", "within the limit", "verdict",
    )  # fmt: skip
    yield _line(*["---"] * 7)
    for tool in tools:
        try:
            made = hashes_of(tool, folder, paths)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            yield _line(f"{tool.name} {tool.version}", *["-"] * 5, f"does not run here: {error}")
            continue
        for name, texts in made.items():
            # Some tools say that they cannot hash a picture by an empty text.
            pairs = [(one, text) for one, text in zip(known, texts, strict=True) if text]
            yield row(tool, name, probe(pairs))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tools", nargs="*", metavar="TOOL", help="names; by default all")
    parser.add_argument("--folder", type=Path, required=True, help="where tools are installed")
    parser.add_argument("--photographs", type=Path, nargs="*", default=[], metavar="FOLDER")
    told = parser.parse_args()
    chosen = [tool for tool in TOOLS if not told.tools or tool.name in told.tools]
    for line in table(told.folder, chosen, told.photographs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
