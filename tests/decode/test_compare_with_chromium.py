"""The comparison with Chromium runs, and tells what it found of three pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashmatch.testing import picture

CHROMIUM = "/usr/bin/chromium"
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "compare_with_chromium.py"


@pytest.mark.servers
@pytest.mark.skipif(not os.path.exists(CHROMIUM), reason=f"there is no {CHROMIUM}")
def test_each_picture_is_of_a_class(tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    folder, out = tmp_path / "pictures", tmp_path / "out.json"
    folder.mkdir()
    Image.fromarray(picture(1, 200, 150)).save(folder / "equal.png")
    Image.fromarray(picture(2, 16, 16)).save(folder / "tiny.png")
    Image.fromarray(np.full((90, 90, 3), 200, np.uint8)).save(folder / "unseen.tiff")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), "--json", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["files"]
    assert {row["file"]: row["class"] for row in rows} == {
        f"pictures/{name}.{form}": name
        for name, form in (("equal", "png"), ("tiny", "png"), ("unseen", "tiff"))
    }
    assert "| of 2 files that Chromium shows | |" in done.stdout
