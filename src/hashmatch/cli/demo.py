"""``hashmatch demo``: the whole flow on pictures drawn for it, with nothing to configure."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashmatch.cli.command import command

if TYPE_CHECKING:
    from hashmatch.records.hashes import HashBatch

DISTANCES = {"landscape-1.jpg": 0, "landscape-3.png": 12}
"""Pictures that the demo's list knows, and by how many bits its entries differ."""


@command(short_help="Try it all on pictures drawn for it.")
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Draw a few pictures and a made-up hash list, scan them, and show the review records.

    \b
    hashmatch demo
    """  # noqa: D301  (the backspace tells click to keep the lines)
    folder = Path(tempfile.mkdtemp(prefix="hashmatch-demo-"))
    pictures, known = folder / "photos", folder / "known.csv"
    click.echo(f"Drawing seven pictures and a list of made-up hashes in {folder}", err=True)
    _draw(pictures)
    _write_list(pictures, known)
    command = ["scan", str(pictures), "--list", str(known), "--surface", "profile_photo"]
    click.echo(f"$ hashmatch {' '.join(command)}\n", err=True)
    whole = ctx.find_root().command
    if code := whole.main(command, prog_name="hashmatch", standalone_mode=False):
        ctx.exit(code)
    click.echo(
        f"""
Each line above on standard output is a review record: a question to a person, who looks at the
picture and decides. Two pictures match, one exactly and one at 12 bits; the flat one is too plain
to be matched on, the note is no picture. Try next:

  hashmatch list inspect {known}
  hashmatch hash {pictures}
  hashmatch scan {pictures} --list {known} --surface profile_photo --max-distance 8
  hashmatch scan {pictures} --list {known} --surface profile_photo --out review.csv

{folder} is yours to keep or delete.""",
        err=True,
    )


def _draw(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    from hashmatch._drawing import picture

    folder.mkdir()
    for number in range(1, 6):
        suffix = "png" if number % 3 == 0 else "jpg"
        Image.fromarray(picture(number)).save(folder / f"landscape-{number}.{suffix}")
    Image.fromarray(np.full((320, 480, 3), 200, np.uint8)).save(folder / "flat.png")
    (folder / "note.txt").write_text("This is not a picture.\n")


def _write_list(pictures: Path, path: Path) -> None:
    import numpy as np

    from hashmatch._drawing import flipped
    from hashmatch._files.atomic import write
    from hashmatch.hashing.hash_image import hash_image
    from hashmatch.records.hashes import HashBatch, HashSpec

    spec = HashSpec("pdq", 256)
    rng = np.random.default_rng(20260101)
    made_up = HashBatch(spec, rng.integers(0, 2**64, (1000, 4), np.uint64))
    lines = ["pdq,id,labels,sources"]
    lines += [f"{text},demo-{n:04},B2,demo" for n, text in enumerate(made_up.to_hex())]
    for name, distance in DISTANCES.items():
        near: HashBatch = flipped(hash_image(pictures / name).hashes, distance, seed=distance)
        lines.append(f"{near.to_hex()[0]},known-{Path(name).stem},A1,demo")
    write(str(path), ("\n".join(lines) + "\n").encode())
