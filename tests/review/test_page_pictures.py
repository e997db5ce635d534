"""Pictures of the page: covered on the server, of just the matched version, and never kept."""

from __future__ import annotations

import base64
import io
import os
import shutil
import tarfile
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow.parquet import write_table

import hashmatch as hm
from conftest import IMAGES, LISTS
from hashmatch import registry
from hashmatch.records.cases import CaseItem, Origin
from hashmatch.records.enums import Surface
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.web.pictures import (
    BLURRED_SIDES,
    LONGEST_SIDE,
    BlurStep,
    NoPicture,
    Pictures,
    blurred,
)
from hashmatch.review.web.server import Serving
from hostile_pictures import bombs, cuts, repeated_scans
from review_pages import Answer, ReviewSite, filled, served
from review_records import make_record
from seen_pictures import detail, opened, saturation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "tiles.png"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ReviewSite]:
    with served(filled(tmp_path, names=(KEY,))) as server:
        yield ReviewSite(server)


def shown(site: ReviewSite, step: int = 0) -> Answer:
    browser = site.browser("ana")
    return browser.picture(browser.take(), step)


def refusal(answer: Answer) -> str:
    """Return the one line that was said instead of a picture."""
    assert answer.status == 409
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.count("\n") == 1
    assert "Traceback" not in answer.text
    return answer.text


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_each_step_shows_more(site: ReviewSite) -> None:
    browser = site.browser("ana")
    page = browser.take()
    pixels = [opened(browser.picture(page, step).body) for step in BlurStep]
    details = [detail(one) for one in pixels]
    assert details[0] < details[1] / 1.5
    assert details[1] < details[2] / 1.5
    assert [saturation(one) for one in pixels[:3]] == [0, 0, 0]
    assert saturation(pixels[3]) > 50
    assert len({one.shape for one in pixels}) == 1


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 5000), (5000, 3), (90, 160), (3000, 2000), (801, 800)]
)
def test_what_is_sent_is_small_and_says_nothing_else(size: tuple[int, int]) -> None:
    for step in BlurStep:
        data = blurred(noise(*size), step)
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "JPEG"
            assert max(image.size) <= LONGEST_SIDE
            assert image.mode == ("RGB" if step is BlurStep.COLOUR else "L")
            assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
            assert not image.getexif()


@pytest.mark.parametrize("step", [BlurStep.STRONG, BlurStep.LIGHT])
def test_a_blur_is_made_of_few_pixels(step: BlurStep) -> None:
    """Whatever is within one of them, the same is sent: nothing can bring it back.

    Each is the mean of a box of the picture; here, boxes whose pixels changed places.
    """
    box = 720 // BLURRED_SIDES[step]
    gray = noise(720, 720)[..., :1].repeat(3, axis=2)
    boxes = gray.reshape(720 // box, box, 720 // box, box, 3).swapaxes(1, 2)
    mixed = np.random.default_rng(6).permuted(boxes.reshape(-1, box * box, 3)[..., 0], axis=1)
    mixed = mixed.reshape(720 // box, 720 // box, box, box).swapaxes(1, 2).reshape(720, 720)
    other = mixed[..., None].repeat(3, axis=2)
    assert (other != gray).mean() > 0.9
    one, two = (opened(blurred(each, step)).astype(int) for each in (gray, other))
    assert abs(one - two).max() <= 6  # rounding on the way
    assert blurred(other, BlurStep.GRAY) != blurred(gray, BlurStep.GRAY)


def test_a_picture_that_changed_is_not_shown(site: ReviewSite, tmp_path: Path) -> None:
    photo = tmp_path / "photos" / KEY
    shutil.copy(IMAGES / "plain" / "avatar-owl.webp", photo)
    assert "not the picture that was matched" in refusal(shown(site))
    os.remove(photo)
    assert "cannot be shown" in refusal(shown(site))
    shutil.rmtree(photo.parent)
    assert refusal(shown(site))


def test_a_source_that_is_down_is_one_line(tmp_path: Path) -> None:
    path = str(tmp_path / "queue.db")
    record = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv")).check(
        IMAGES / "plain" / KEY, surface="profile_photo", item_id=KEY
    )
    assert isinstance(record, hm.ReviewRecord)
    for source in ("nothere://x", "/nowhere/at/all", "zip:///nowhere.zip", ""):
        with ReviewQueue.open(path, create=True) as queue:
            queue.add([(record, Origin(source, ""))])
        with served(path) as server:
            text = refusal(shown(ReviewSite(server)))
            assert source not in text or not source
        os.remove(path)


def hostile() -> list[tuple[str, bytes]]:
    named = dict(bombs())
    chosen = [name for name in named if name.startswith(("65535x65535", "30000x30000"))]
    kept = [(name, named[name]) for name in chosen]
    kept += [(name, data) for name, data in list(cuts())[::12]]
    kept += [("scans.jpg", repeated_scans(2000, 1000)), ("nothing", b""), ("text", b"<svg/>" * 99)]
    return kept


def test_hostile_pictures_are_one_line_and_the_page_lives(tmp_path: Path) -> None:
    """What stands in the place of a picture, of just the version that was recorded."""
    photos = tmp_path / "photos"
    photos.mkdir()
    path = str(tmp_path / "queue.db")
    names = hostile()
    for name, data in names:
        (photos / name).write_bytes(data)
    shutil.copy(IMAGES / "plain" / KEY, photos / "good.png")
    source = registry.open_source(str(photos), Surface.PROFILE_PHOTO)
    record = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"), include_hash=True).check(
        IMAGES / "plain" / KEY, surface="profile_photo", item_id=KEY
    )
    assert isinstance(record, hm.ReviewRecord)
    with ReviewQueue.open(path, create=True) as queue:
        queue.add(
            (
                replace(
                    record,
                    record_id=item.key,
                    item=replace(record.item, key=item.key, version=item.version),
                ),
                Origin(str(photos), item.location),
            )
            for item in source.items()
        )
    with served(path) as server:
        browser = ReviewSite(server).browser("ana")
        page = browser.take()
        assert f"{len(names) + 1} records of this picture" in page.text
        lines = 0
        for number in range(len(names) + 1):
            answer = browser.picture(page, 3, number)
            if answer.status == 200:
                assert max(opened(answer.body).shape) <= LONGEST_SIDE
            else:
                refusal(answer)
                lines += 1
        assert lines >= len(names) / 2
        assert browser.get("/").status == 200


def test_pictures_of_records_that_do_not_say_where(tmp_path: Path) -> None:
    path = filled(tmp_path, names=(KEY,), origin=False)
    with served(path, Serving(port=0)) as server:
        assert "Nobody said" in refusal(shown(ReviewSite(server)))
    with served(path, Serving(port=0, pictures=(str(tmp_path / "photos"),))) as server:
        assert shown(ReviewSite(server)).status == 200


@pytest.mark.parametrize("location", ["", f"relative/to/elsewhere/{KEY}"])
def test_pictures_of_which_only_the_source_is_known(tmp_path: Path, location: str) -> None:
    """As ``hashmatch review add --source`` has them; or the scan ran in another folder."""
    path = filled(tmp_path, names=(KEY,), origin=False)
    with ReviewQueue.open(path) as queue:
        (case,) = queue.cases()
    for source in ("photos", f"photos/{KEY}"):
        origin = Origin(str(tmp_path / source), location)
        other = str(tmp_path / f"{len(source)}.db")
        with ReviewQueue.open(other, create=True) as queue:
            queue.add([(case.items[0].record, origin)])
        with served(other) as server:
            assert shown(ReviewSite(server)).status == 200


def test_pictures_whose_names_are_no_text(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / os.fsdecode(b"caf\xe9.png")).write_bytes((IMAGES / "plain" / KEY).read_bytes())
    matcher = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"))
    (record,) = hm.scan_source(str(photos), matcher, surface="public_post")
    assert isinstance(record, hm.ReviewRecord)
    path = str(tmp_path / "queue.db")
    with ReviewQueue.open(path, create=True) as queue:
        queue.add([(record, Origin(str(photos), ""))])
    with served(path) as server:
        assert shown(ReviewSite(server)).status == 200


def test_pictures_in_archives(tmp_path: Path) -> None:
    """Their items are known by more than a key; with and without an origin."""
    archive = tmp_path / "photos.tar"
    with tarfile.open(archive, "w") as file:
        for photo in sorted((IMAGES / "plain").iterdir()):
            file.add(photo, photo.name)
    table = tmp_path / "photos.parquet"
    contents = [(photo.name, photo.read_bytes()) for photo in sorted((IMAGES / "plain").iterdir())]
    keys, images = map(list, zip(*contents, strict=True))
    write_table(pyarrow.table({"key": keys, "image": images}), table)
    for name in (f"tar://{archive}", f"parquet://{table}"):
        source = registry.open_source(name, Surface.PUBLIC_POST)
        matcher = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"))
        listed = {item.key: item for item in source.items()}
        results = [
            one for one in hm.scan_source(source, matcher) if isinstance(one, hm.ReviewRecord)
        ]
        for origin, located in ((name, True), (name, False), ("", False)):
            path = str(tmp_path / f"{name[:3]}{len(origin)}{located}.db")
            with ReviewQueue.open(path, create=True) as queue:
                queue.add(
                    (one, Origin(origin, listed[one.item.key].location if located else ""))
                    for one in results
                )
            with served(path, Serving(port=0, pictures=(name,))) as server:
                assert shown(ReviewSite(server)).status == 200


def test_a_record_cannot_point_out_of_its_source(tmp_path: Path) -> None:
    path = str(tmp_path / "queue.db")
    outside = tmp_path / "outside.png"
    shutil.copy(IMAGES / "plain" / KEY, outside)
    photos = tmp_path / "photos"
    photos.mkdir()
    record = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv")).check(
        outside, surface="profile_photo", item_id="../outside.png"
    )
    assert isinstance(record, hm.ReviewRecord)
    for origin in (
        Origin(str(photos), str(outside)),
        Origin(str(photos), f"{photos}/../outside.png"),
    ):
        with ReviewQueue.open(path, create=True) as queue:
            queue.add([(record, origin)])
        with served(path) as server:
            assert "outside of its source" in refusal(shown(ReviewSite(server)))
        os.remove(path)
    with ReviewQueue.open(path, create=True) as queue:
        queue.add([record])
    with served(path, Serving(port=0, pictures=(str(photos),))) as server:
        assert "outside of its source" in refusal(shown(ReviewSite(server)))


def test_a_record_s_source_is_opened_only_below_a_place_of_the_operator(tmp_path: Path) -> None:
    """By real path, whatever the record says."""
    path = filled(tmp_path, names=(KEY,))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    outside = Serving(port=0, pictures=(str(elsewhere),))
    with served(path, Serving(port=0)) as server:
        assert "not below a source that --pictures names" in refusal(shown(ReviewSite(server)))
    with served(path, outside) as server:
        assert "not below a source that --pictures names" in refusal(shown(ReviewSite(server)))
    both = Serving(port=0, pictures=(str(elsewhere), str(tmp_path / "photos")))
    with served(path, both) as server:
        assert shown(ReviewSite(server)).status == 200
    os.rename(tmp_path / "photos", elsewhere / "photos")
    os.symlink(elsewhere / "photos", tmp_path / "photos")
    with served(path, Serving(port=0, pictures=(str(tmp_path / "queue.db"),))) as server:
        assert "not below a source that --pictures names" in refusal(shown(ReviewSite(server)))
    with served(path, outside) as server:
        assert shown(ReviewSite(server)).status == 200


def test_a_link_in_a_source_leads_to_nothing_outside_of_it(tmp_path: Path) -> None:
    path = filled(tmp_path, names=(KEY,))
    os.rename(tmp_path / "photos" / KEY, tmp_path / "moved.png")
    os.symlink(tmp_path / "moved.png", tmp_path / "photos" / KEY)
    with served(path, Serving(port=0, pictures=(str(tmp_path / "photos"),))) as server:
        assert "outside of its source" in refusal(shown(ReviewSite(server)))


@pytest.fixture(scope="module")
def decoders() -> Iterator[hm.DecodePool]:
    with hm.DecodePool(workers=1) as pool:
        yield pool


def items_of(location: str) -> list[CaseItem]:
    """Return the records of a source, as a scan and a queue would have them."""
    source = registry.open_source(location, Surface.PUBLIC_POST)
    matcher = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"))
    listed: dict[str, hm.ImageItem] = {}
    found = hm.scan_source(source, matcher, on_listed=lambda item: listed.update({item.key: item}))
    return [
        CaseItem(one, Origin(location, listed[one.item.key].location), datetime.now(UTC), False, 1)
        for one in found
        if isinstance(one, hm.ReviewRecord)
    ]


def zipped(path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            archive.write(IMAGES / "plain" / name, f"{number}.png")


def lines(path: Path, names: list[str]) -> None:
    rows = [(IMAGES / "plain" / name).read_bytes() for name in names]
    longest = max(map(len, rows))  # so that the second is where the first was
    images = [base64.b64encode(row.ljust(longest, b"\0")).decode() for row in rows]
    path.write_text("".join(f'{{"key":"{n}","image":"{one}"}}\n' for n, one in enumerate(images)))


@pytest.mark.parametrize(("scheme", "make"), [("zip", zipped), ("jsonl", lines)])
def test_another_picture_in_the_place_of_the_matched_one_is_not_shown(
    tmp_path: Path,
    decoders: hm.DecodePool,
    scheme: str,
    make: Callable[[Path, list[str]], None],
) -> None:
    """An archive or a list was replaced; where the picture was, there is another now."""
    path = tmp_path / f"photos.{scheme}"
    names = [KEY, "avatar-owl.webp"]
    make(path, names)
    where = f"{scheme}://{path}"
    matched = next(one for one in items_of(where) if one.record.item.key.startswith("0"))
    pictures = Pictures([where], decoders)
    assert pictures.jpeg(matched, BlurStep.STRONG)
    make(path, names[::-1])
    os.utime(path, ns=(1, 1))
    for again in (pictures, Pictures([where], decoders)):
        with pytest.raises(NoPicture, match=r"has changed|damaged in") as caught:
            again.jpeg(matched, BlurStep.STRONG)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("location", ["", "0", "-1", "99", "x", "1 2", "line", "line 1 x", "at 1"])
@pytest.mark.parametrize("scheme", ["zip", "jsonl"])
def test_a_record_s_location_is_not_trusted(
    tmp_path: Path, decoders: hm.DecodePool, scheme: str, location: str
) -> None:
    path = tmp_path / f"photos.{scheme}"
    (zipped if scheme == "zip" else lines)(path, [KEY, "avatar-owl.webp"])
    item = items_of(f"{scheme}://{path}")[0]
    given = replace(item, origin=Origin(item.origin.source, location))
    pictures = Pictures([str(tmp_path)], decoders)
    if not location:  # it is looked for by its key
        assert pictures.jpeg(given, BlurStep.STRONG)
        return
    with pytest.raises(NoPicture) as caught:
        pictures.jpeg(given, BlurStep.STRONG)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("with_location", [False, True])
def test_a_list_does_not_lead_out_by_a_link(
    tmp_path: Path, decoders: hm.DecodePool, with_location: bool
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(IMAGES / "plain" / KEY, tmp_path / "outside.png")
    shutil.copy(IMAGES / "plain" / KEY, photos / "inside.png")
    os.symlink(tmp_path / "outside.png", photos / "link.png")
    os.symlink(photos / "inside.png", photos / "fine.png")
    os.symlink(tmp_path, photos / "folder")
    (photos / "list.txt").write_text("link.png\nfine.png\nfolder/outside.png\n")
    write_table(pyarrow.table({"url": ["link.png", "fine.png"]}), photos / "list.parquet")
    for where in (f"manifest://{photos}/list.txt", f"parquet://{photos}/list.parquet"):
        pictures = Pictures([str(photos)], decoders)
        for item in items_of(where):
            if not with_location:
                item = replace(item, origin=Origin(where, ""))  # noqa: PLW2901
            if item.record.item.key == "fine.png":
                assert pictures.jpeg(item, BlurStep.STRONG)
                continue
            with pytest.raises(NoPicture, match="outside of its source"):
                pictures.jpeg(item, BlurStep.STRONG)


def test_a_folder_of_tables_does_not_lead_out_by_a_link(
    tmp_path: Path, decoders: hm.DecodePool
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for path, name in ((photos / "a.parquet", KEY), (tmp_path / "b.parquet", KEY)):
        row = {"key": [path.name], "image": [(IMAGES / "plain" / name).read_bytes()]}
        write_table(pyarrow.table(row), path)
    os.symlink(tmp_path / "b.parquet", photos / "b.parquet")
    pictures, where = Pictures([str(photos)], decoders), f"parquet://{photos}"
    items = {item.record.item.key: item for item in items_of(where)}
    assert pictures.jpeg(items["a.parquet"], BlurStep.STRONG)
    with pytest.raises(NoPicture, match="outside of its source"):
        pictures.jpeg(items["b.parquet"], BlurStep.STRONG)


def test_a_source_with_a_nul_is_one_line(decoders: hm.DecodePool, tmp_path: Path) -> None:
    zipped(tmp_path / "photos.zip", [KEY])
    item = items_of(f"zip://{tmp_path}/photos.zip")[0]
    for source in (f"{tmp_path}/\0", f"zip://{tmp_path}/\0"):
        with pytest.raises(NoPicture):
            Pictures([str(tmp_path)], decoders).jpeg(
                replace(item, origin=Origin(source, "")), BlurStep.STRONG
            )


def test_exif_is_shown_on_request_only_and_then_recorded(site: ReviewSite) -> None:
    browser, server = site.browser("ana"), site.server
    page = browser.take()
    case = server.queue.case(server.context.held["ana"])
    asked = f"/case/{case.case_id}/exif?item=0"
    answer = browser.get(asked, x_hashmatch=browser.csrf)
    assert (answer.status, answer.text) == (200, "There is no EXIF data in this file.")
    assert answer.headers["content-type"].startswith("text/plain")
    assert browser.get(asked).status == 403  # no other site can ask
    for other in (f"/case/{case.case_id}/exif?item=7", "/case/none-1/exif"):
        assert browser.get(other, x_hashmatch=browser.csrf).status == 409
    browser.picture(page, 3)
    said = [(e.kind, e.who, dict(e.body)) for e in server.queue.history(case.case_id)][2:]
    record = case.items[0].record.record_id
    assert said == [
        ("exif_viewed", "ana", {"record": record}),
        ("uncovered", "ana", {"record": record, "extent": "colour", "whole": True}),
    ]
    stranger = site.browser("bo")
    assert stranger.get(asked, x_hashmatch=stranger.csrf).status == 409


@pytest.mark.parametrize(
    ("name", "frames", "whole"),
    [("a.gif", 1, True), ("a.gif", 3, False), ("a.png", 1, True), ("a.jpg", 1, True)],
)
def test_a_frame_is_not_the_whole_of_its_file(
    decoders: hm.DecodePool, tmp_path: Path, name: str, frames: int, whole: bool
) -> None:
    colours = ["red", "green", "blue"][:frames]
    first, *more = [Image.new("RGB", (64, 64), colour) for colour in colours]
    if more:
        first.save(tmp_path / name, save_all=True, append_images=more)
    else:
        first.save(tmp_path / name)
    source = registry.open_source(str(tmp_path), Surface.PROFILE_PHOTO)
    (item,) = source.items()
    media = {"gif": "image/gif", "png": "image/png", "jpg": "image/jpeg"}[name[-3:]]
    record = make_record(1)
    of_it = replace(record.item, key=item.key, version=item.version or "", media_type=media)
    shown = CaseItem(
        replace(record, item=of_it),
        Origin(str(tmp_path)),
        datetime(2026, 1, 1, tzinfo=UTC),
        False,
        1,
    )
    assert Pictures([str(tmp_path)], decoders).jpeg(shown, BlurStep.COLOUR).whole is whole
