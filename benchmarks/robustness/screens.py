"""Telephone screens that show pictures: chats, viewers, profile pages, shops, stories."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from benchmarks.robustness.drawing import covering, disc, font, rounded, wrapped

if TYPE_CHECKING:
    from random import Random

    from benchmarks.robustness.drawing import Font, Scene

WIDTH, HEIGHT = 1080, 2160
STATUS, HEADER, INPUT = 84, 168, 156
"""Heights of the line with the time, of the line with the name, and of the line to write in."""


class App(NamedTuple):
    """Colours of an app: wall, header, own bubble, the other's, text, faint text."""

    wall: str
    header: str
    own: str
    theirs: str
    ink: str
    faint: str
    header_ink: str


LIGHT = (
    App("#e7ded5", "#0a8069", "#dcf8c6", "#ffffff", "#111111", "#8a8a8a", "#ffffff"),
    App("#ffffff", "#ffffff", "#3797f0", "#efefef", "#111111", "#8e8e8e", "#111111"),
    App("#f4f4f5", "#f4f4f5", "#2c6bed", "#e4e4e9", "#16161a", "#6d6d76", "#16161a"),
    App("#cfe0ec", "#ffffff", "#effdde", "#ffffff", "#0f0f0f", "#7b8a94", "#0f0f0f"),
)
DARK = (
    App("#0b141a", "#1f2c34", "#005c4b", "#1f2c34", "#e9edef", "#8696a0", "#e9edef"),
    App("#000000", "#000000", "#3797f0", "#262626", "#fafafa", "#a0a0a0", "#fafafa"),
    App("#1b1c1f", "#1b1c1f", "#2c6bed", "#3b3b3d", "#e9e9e9", "#a5a5ab", "#e9e9e9"),
    App("#0e1621", "#17212b", "#2b5278", "#182533", "#f5f5f5", "#6d7f8f", "#f5f5f5"),
)


def app(scene: Scene, dark: bool) -> App:
    """Return one of the apps by chance."""
    return scene.random.choice(DARK if dark else LIGHT)


def _bar(
    screen: Image.Image, scene: Scene, colours: App, script: str, title: bool = True,
    photograph: bool = True,
) -> None:  # fmt: skip
    """Draw the time, the battery and, with `title`, who it is that one chats with.

    Without a `photograph` they have a disc of one colour with their initial, as accounts have that
    were given none.
    """
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, WIDTH, STATUS + (HEADER if title else 0)), colours.header)
    hour, minute = scene.random.randrange(24), scene.random.randrange(60)
    draw.text((48, STATUS / 2), f"{hour}:{minute:02}", colours.header_ink, font(38), "lm")
    draw.rectangle((980, 28, 1036, 56), None, colours.header_ink, 3)
    draw.rectangle((984, 32, 984 + scene.random.randrange(8, 48), 52), colours.header_ink)
    if not title:
        return
    middle = STATUS + HEADER / 2
    draw.line([(70, middle - 22), (48, middle), (70, middle + 22)], colours.header_ink, 6)
    if photograph:
        face = disc(scene.other(), 104)
        screen.paste(face, (100, int(middle) - 52), face)
    else:
        draw.ellipse((100, middle - 52, 204, middle + 52), colours.own)
        initial = scene.text(script, 1, 1)[0].upper()
        draw.text((152, middle), initial, colours.ink, font(52, script), "mm")
    draw.text(
        (230, middle - 20), scene.text(script, 1, 2), colours.header_ink, font(44, script), "lm"
    )
    draw.text((230, middle + 36), scene.text(script, 1, 2), colours.faint, font(30, script), "lm")
    for x in (1030, 940):
        draw.ellipse((x - 20, middle - 20, x + 20, middle + 20), None, colours.header_ink, 4)


def _input(screen: Image.Image, scene: Scene, colours: App, script: str) -> None:
    """Draw the line to write in."""
    draw = ImageDraw.Draw(screen)
    top = HEIGHT - INPUT
    draw.rectangle((0, top, WIDTH, HEIGHT), colours.header if colours in DARK else colours.wall)
    draw.rounded_rectangle((40, top + 24, 900, top + 120), 48, colours.theirs)
    words = scene.text(script, 1, 2)
    draw.text((100, top + 72), words, colours.faint, font(36, script), "lm")
    draw.ellipse((930, top + 24, 1026, top + 120), colours.own)


def _pattern(screen: Image.Image, scene: Scene, colours: App) -> None:
    """Draw faint doodles all over the wall."""
    draw = ImageDraw.Draw(screen)
    ink = colours.faint if colours in LIGHT else colours.theirs
    for y in range(0, HEIGHT, 110):
        for x in range(0, WIDTH, 110):
            left, top = x + scene.random.randrange(40), y + scene.random.randrange(40)
            side = scene.random.randrange(24, 54)
            if scene.random.random() < 0.5:
                draw.ellipse((left, top, left + side, top + side), None, ink, 2)
            else:
                draw.rectangle((left, top, left + side, top + side // 2), None, ink, 2)


class Bubble(NamedTuple):
    """A message: what it shows, and how high it is."""

    drawn: Image.Image
    mine: bool
    is_picture: bool = False


def _said(
    scene: Scene, colours: App, script: str, mine: bool, size: tuple[int, int] | None = None
) -> Bubble:
    """Draw a message; `size` is how many lines it has and how wide they are."""
    face = font(42 if size is None else 34, script)
    if size is None:
        lines = wrapped(scene.text(script, 1, 16), face, 640)
        wide = int(max(face.getlength(line) for line in lines))
    else:
        lines, wide = [_filling(scene, script, face, size[1]) for _ in range(size[0])], size[1]
    drawn = Image.new("RGBA", (max(240, wide + 150), 60 * len(lines) + 44))
    draw = ImageDraw.Draw(drawn)
    fill = colours.own if mine else colours.theirs
    draw.rounded_rectangle((0, 0, drawn.width - 1, drawn.height - 1), 30, fill)
    for number, line in enumerate(lines):
        draw.text((28, 46 + 60 * number), line, colours.ink, face, "lm")
    time = f"{scene.random.randrange(24)}:{scene.random.randrange(60):02}"
    draw.text((drawn.width - 24, drawn.height - 24), time, colours.faint, font(26), "rm")
    return Bubble(drawn, mine)


def _filling(scene: Scene, script: str, face: Font, wide: float) -> str:
    """Return words that fill a line to its end, the last one broken."""
    line = scene.text(script, 1, 1)
    while face.getlength(line) <= wide:
        line = f"{line} {scene.text(script, 1, 1)}"
    while len(line) > 1 and face.getlength(line) > wide:
        line = line[:-1]
    return line


def _shown(image: Image.Image, share: float) -> Image.Image:
    """Scale a picture to a share of the screen's width, and no higher than fits."""
    width = round(WIDTH * share)
    height = round(image.height * width / image.width)
    most = HEIGHT - STATUS - HEADER - INPUT - 420
    if height > most:
        width, height = round(width * most / height), most
    return image.resize((width, height), Image.Resampling.LANCZOS)


def chat(
    image: Image.Image | None, scene: Scene, share: float, dark: bool, patterned: bool = False,
    colours: App | None = None, script: str = "", most: int = 100, turns: Random | None = None,
) -> tuple[Image.Image, tuple[int, int, int, int] | None]:  # fmt: skip
    """Return a chat with a picture among the messages, and the box that the picture is in.

    Parameters
    ----------
    image : Image or None
        The picture; without one there are messages only.
    share : float
        Of the screen's width that it takes.
    most : int
        Messages besides, fewer if the screen is full. They stand at its lower end.
    turns : Random, optional
        Says whose each message is, and how long: two chats with the same have other words only,
        and are of people without a photograph.
    """
    colours = colours or app(scene, dark)
    script = script or scene.script()
    screen = Image.new("RGB", (WIDTH, HEIGHT), colours.wall)
    if patterned:
        _pattern(screen, scene, colours)
    top, bottom = STATUS + HEADER, HEIGHT - INPUT
    shown = None if image is None else _shown(image, share)
    mine = scene.random.random() < 0.5
    bubbles = []
    room = bottom - top - 60
    if shown is not None:
        drawn = Image.new("RGBA", (shown.width + 12, shown.height + 12))
        fill = colours.own if mine else colours.theirs
        ImageDraw.Draw(drawn).rounded_rectangle((0, 0, drawn.width - 1, drawn.height - 1), 30, fill)
        inner = rounded(shown, 26)
        drawn.paste(inner, (6, 6), inner)
        bubbles.append(Bubble(drawn, mine, True))
        room -= drawn.height + 24
    for _ in range(most):
        chance = turns or scene.random
        size = (turns.choice((1, 1, 2, 3, 5)), turns.randrange(240, 640)) if turns else None
        said = _said(scene, colours, script, chance.random() < 0.5, size)
        room -= said.drawn.height + 24
        if room < 0:
            break
        bubbles.insert(chance.randint(0, len(bubbles)), said)
    place, box = bottom - 30 - sum(bubble.drawn.height + 24 for bubble in bubbles) + 24, None
    for bubble in bubbles:
        left = WIDTH - 36 - bubble.drawn.width if bubble.mine else 36
        screen.paste(bubble.drawn, (left, place), bubble.drawn)
        if bubble.is_picture:
            wide, tall = bubble.drawn.size
            box = (left + 6, place + 6, left + wide - 6, place + tall - 6)
        place += bubble.drawn.height + 24
    _bar(screen, scene, colours, script, photograph=turns is None)
    _input(screen, scene, colours, script)
    return screen, box


def cut_by_hand(screen: Image.Image, box: tuple[int, int, int, int], scene: Scene) -> Image.Image:
    """Cut a screen about a box as people do: some of the surroundings stay on every side."""
    width, height = box[2] - box[0], box[3] - box[1]
    left, top, right, bottom = (
        round(side * scene.random.uniform(0.01, 0.08)) for side in (width, height, width, height)
    )
    return screen.crop(
        (
            max(0, box[0] - left),
            max(0, box[1] - top),
            min(WIDTH, box[2] + right),
            min(HEIGHT, box[3] + bottom),
        )
    )


def viewer(image: Image.Image, scene: Scene, dark: bool) -> Image.Image:
    """Return a picture opened from a chat: as wide as the screen, name above, buttons below."""
    colours = app(scene, dark)._replace(
        header="#000000" if dark else "#ffffff",
        header_ink="#f5f5f5" if dark else "#111111",
        faint="#9a9a9a",
    )
    script = scene.script()
    screen = Image.new("RGB", (WIDTH, HEIGHT), colours.header)
    width, height = WIDTH, round(image.height * WIDTH / image.width)
    most = HEIGHT - STATUS - HEADER - 240
    if height > most:
        width, height = round(width * most / height), most
    shown = image.resize((width, height), Image.Resampling.LANCZOS)
    top = STATUS + HEADER + (most - height) // 2
    _bar(screen, scene, colours, script)
    screen.paste(shown, ((WIDTH - width) // 2, top))
    draw = ImageDraw.Draw(screen)
    for x in (120, 400, 680, 960):
        draw.ellipse((x - 26, HEIGHT - 130, x + 26, HEIGHT - 78), None, colours.header_ink, 5)
    if scene.random.random() < 0.5:
        words = scene.text(script, 2, 6)
        draw.text((WIDTH / 2, HEIGHT - 190), words, colours.header_ink, font(36, script), "mm")
    return screen


def inbox(image: Image.Image, scene: Scene, colours: App, script: str) -> Image.Image:
    """Return a list of chats of one app: small avatars, names, the last words of each."""
    screen = Image.new("RGB", (WIDTH, HEIGHT), colours.wall)
    _bar(screen, scene, colours, script, title=False)
    draw = ImageDraw.Draw(screen)
    draw.text((48, STATUS + 80), "Chats", colours.ink, font(64), "lm")
    for row in range(11):
        middle = STATUS + 240 + 164 * row
        face = disc(image if row == 0 else scene.other(), 116)
        screen.paste(face, (40, middle - 58), face)
        draw.text((190, middle - 28), scene.text(script, 1, 2), colours.ink, font(42, script), "lm")
        words = scene.text(script, 3, 5)
        draw.text((190, middle + 30), words, colours.faint, font(34, script), "lm")
        time = f"{scene.random.randrange(24)}:{scene.random.randrange(60):02}"
        draw.text((1040, middle - 28), time, colours.faint, font(30), "rm")
    draw.rectangle((0, HEIGHT - INPUT, WIDTH, HEIGHT), colours.header)
    for x in (140, 410, 680, 950):
        draw.ellipse((x - 28, HEIGHT - 106, x + 28, HEIGHT - 50), None, colours.header_ink, 5)
    return screen


def profile(image: Image.Image, scene: Scene, colours: App, script: str) -> Image.Image:
    """Return a profile page of one app: a band, an avatar, a name, some text, counts, a button.

    Two of three people have no photograph, but a disc of the app's colour.
    """
    screen = Image.new("RGB", (WIDTH, HEIGHT), colours.wall)
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, STATUS, WIDTH, STATUS + 200), colours.own)
    _bar(screen, scene, colours, script, title=False)
    if scene.random.random() < 0.35:
        face = disc(image, 280)
        screen.paste(face, (60, STATUS + 60), face)
    else:
        draw.ellipse((60, STATUS + 60, 340, STATUS + 340), colours.theirs)
    for number in range(3):
        x = 480 + 210 * number
        draw.text((x, STATUS + 250), str(scene.random.randrange(1000)), colours.ink, font(40), "mm")
        draw.text((x, STATUS + 305), scene.text(script, 1, 1), colours.faint, font(28, script),
                  "mm")  # fmt: skip
    for y, size, wide in ((400, 48, 420), (470, 38, 900), (526, 38, 760)):
        words = _filling(scene, script, font(size, script), wide)
        draw.text((60, STATUS + y), words, colours.ink, font(size, script), "lm")
    draw.rounded_rectangle((60, STATUS + 620, 1020, STATUS + 720), 20, colours.own)
    draw.line((0, STATUS + 800, WIDTH, STATUS + 800), colours.faint, 2)
    for row in range(3):
        for column in range(3):
            left, top = column * 362, STATUS + 810 + row * 362
            draw.rectangle((left, top, left + 354, top + 354), colours.theirs)
    return screen


def shop(image: Image.Image, scene: Scene, colours: App, script: str) -> Image.Image:
    """Return a page that sells something: a photograph 38 % wide, a title, a price, lines."""
    screen = Image.new("RGB", (WIDTH, HEIGHT), colours.wall)
    _bar(screen, scene, colours, script, title=False)
    side = round(WIDTH * 0.38)
    screen.paste(covering(image, side, side), (48, STATUS + 80))
    draw = ImageDraw.Draw(screen)
    left = 48 + side + 40
    for row in range(3):
        words = scene.text(script, 2, 4)
        draw.text((left, STATUS + 120 + 64 * row), words, colours.ink, font(40, script), "lm")
    price = f"{scene.random.randrange(1, 500)}.{scene.random.randrange(100):02}"
    draw.text((left, STATUS + 370), price, colours.ink, font(64), "lm")
    draw.rounded_rectangle((left, STATUS + 430, 1030, STATUS + 520), 18, colours.own)
    for row in range(18):
        words = scene.text(script, 5, 9)
        draw.text((48, STATUS + 640 + 72 * row), words, colours.ink, font(36, script), "lm")
    return screen


def story(image: Image.Image, scene: Scene) -> Image.Image:
    """Return a story of 9:16: the picture as wide as the screen, its own blur above and below."""
    width, height = 1080, 1920
    behind = covering(image, width // 8, height // 8).filter(ImageFilter.GaussianBlur(6))
    canvas = behind.resize((width, height), Image.Resampling.BICUBIC)
    canvas = ImageEnhance.Brightness(canvas).enhance(scene.random.uniform(0.6, 1.0))
    tall = round(image.height * width / image.width)
    wide = width
    if tall > height:
        wide, tall = round(width * height / tall), height
    shown = image.resize((wide, tall), Image.Resampling.LANCZOS)
    canvas.paste(shown, ((width - wide) // 2, (height - tall) // 2))
    return canvas
