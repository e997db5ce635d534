"""Lay the named photographs into a folder: `python benchmarks/robustness/named.py FROM TO`.

FROM is a folder with what anybody can get: a clone of each repository in `REPOSITORIES` under the
name that it has there, and the files of the Debian packages in `PACKAGES`. Nothing is downloaded
here. In TO come a folder ``build`` and a folder ``held``, and no photograph that is not the one
named in photographs.csv, byte for byte.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

REPOSITORIES = {
    "imagenet-sample-images": (
        "EliSchwartz/imagenet-sample-images", "bc69043e2862758a1906c6a24a792bb28c6bb2ff"
    ),
    "BSDS500": ("BIDS/BSDS500", "a04b7c6c3a9f0ace74bf205c72a43d32e1c72722"),
    "Kodak-Lossless-True-Color-Image-Suite": (
        "MohamedBakrAli/Kodak-Lossless-True-Color-Image-Suite",
        "dd2e1105fe8d9afe1120cd7e4c0e5e41f509a81b",
    ),
    "elementary-wallpapers": ("elementary/wallpapers", "f28b86144ba01d788ac61ad198ca16fa9477913f"),
    "pop-os-wallpapers": ("pop-os/wallpapers", "03a25a14a76eaf3825b980ab50aad6698c1c5a35"),
    "deepin-wallpapers": (
        "linuxdeepin/deepin-wallpapers", "ac2fe33778aa16d332066227faaa6cc9baff6a1f"
    ),
}  # fmt: skip
"""By source: the repository on GitHub, and the commit."""
PACKAGES = {
    "lomiri-wallpapers-16.04": "20.04.0-2",
    "lomiri-wallpapers-20.04": "20.04.0-2",
    "mate-backgrounds": "1.26.0-1",
    "plasma-workspace-wallpapers": "4:5.27.5-2",
}
"""By source: the version in Debian 12."""


class Named(NamedTuple):
    """A line of photographs.csv."""

    set: str
    source: str
    path: str
    sha256: str

    @property
    def file(self) -> str:
        """Return the name that it gets."""
        return f"{self.source}-{self.path.replace('/', '-').replace(' ', '_')}"


def named() -> list[Named]:
    """Return every photograph of photographs.csv."""
    with Path(__file__).with_name("photographs.csv").open(newline="") as file:
        return [Named(**row) for row in csv.DictReader(file)]


def _in_repository(folder: Path, commit: str, paths: list[str]) -> dict[str, bytes]:
    asked = "".join(f"{commit}:{path}\n" for path in paths)
    command = ["git", "-C", str(folder), "cat-file", "--batch"]
    answer = subprocess.run(command, input=asked.encode(), capture_output=True, check=True).stdout
    found, at = {}, 0
    for path in paths:
        end = answer.index(b"\n", at)
        head = answer[at:end].decode()
        at = end + 1
        if head.endswith("missing"):
            continue
        size = int(head.split()[2])
        found[path] = answer[at : at + size]
        at += size + 1
    return found


def _in_package(file: Path, paths: list[str]) -> dict[str, bytes]:
    command = ["dpkg-deb", "--fsys-tarfile", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        found = {}
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                path = member.name.removeprefix("./")
                if path in paths and (content := archive.extractfile(member)) is not None:
                    found[path] = content.read()
    return found


def read(sources: Path, source: str, paths: list[str]) -> dict[str, bytes]:
    """Return the named files of one source that are there."""
    if source in REPOSITORIES:
        folder = sources / source
        return _in_repository(folder, REPOSITORIES[source][1], paths) if folder.exists() else {}
    packages = sorted(sources.glob(f"{source}_*.deb"))
    return _in_package(packages[-1], paths) if packages else {}


def lay_out(sources: Path, into: Path) -> list[Named]:
    """Write what is found below `into`; return what is missing, or is another file."""
    missing = []
    photographs = named()
    for source in dict.fromkeys(each.source for each in photographs):
        mine = [each for each in photographs if each.source == source]
        found = read(sources, source, [each.path for each in mine])
        for each in mine:
            content = found.get(each.path, b"")
            if hashlib.sha256(content).hexdigest() != each.sha256:
                missing.append(each)
                continue
            (into / each.set).mkdir(parents=True, exist_ok=True)
            (into / each.set / each.file).write_bytes(content)
    return missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", type=Path, metavar="FROM")
    parser.add_argument("into", type=Path, metavar="TO")
    told = parser.parse_args()
    missing = lay_out(told.sources, told.into)
    for source in dict.fromkeys(each.source for each in missing):
        count = sum(each.source == source for each in missing)
        where = REPOSITORIES[source][0] if source in REPOSITORIES else f"package {source}"
        print(f"cannot find {count} photographs of {source}: get {where}", file=sys.stderr)
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
