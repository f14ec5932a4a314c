"""The rendered graphics: what people post beside photographs. Drawn here, CC0, texts invented."""

import io
import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFont

INK, PAPER, GREY, BLUE, RED, GREEN, AMBER = "#1d2733", "#fbfaf6", "#8a94a0", "#2f6fb0", "#c8413b", "#3d8f5f", "#e0a030"


def encoded(photos: dict[str, bytes]) -> dict[str, bytes]:
    """Returns every graphic as the bytes of its file; memes are drawn on the photographs of that name."""
    made = {}
    for file, photo, top, bottom in _MEMES:
        made[file] = _meme(photos[photo], top, bottom)
    for draw in _DRAWN:
        image = draw()
        made[f"{draw.__name__.strip('_')}.png"] = _png(image)
    made["badge.png"] = _png(_badge(), palette=False)
    made["signal.gif"] = _signal()
    return made


_MEMES = (
    ("meme_cat.jpg", "cat.jpg", "You said", "five more minutes"),
    ("meme_panda.jpg", "panda.jpg", "After one e-mail", "I need a rest"),
    ("meme_dog.jpg", "dog.jpg", "Did somebody", "say walk?"),
    ("meme_sheep.jpg", "sheep.jpg", "Works on", "my machine"),
    ("meme_coffee.jpg", "coffee.jpg", "But first", "another one"),
)


def _font(size: int, face: str = "DejaVuSans") -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(f"{face}.ttf", size)


def _sheet(width: int, height: int, colour: str = PAPER) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), colour)
    return image, ImageDraw.Draw(image)


def _png(image: Image.Image, palette: bool = True) -> bytes:
    out = io.BytesIO()
    (image.quantize(64, dither=Image.Dither.NONE) if palette else image).save(out, format="PNG", optimize=True)
    return out.getvalue()


def _meme(photo: bytes, top: str, bottom: str) -> bytes:
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    image.thumbnail((640, 640))
    draw = ImageDraw.Draw(image)
    for text, y, anchor in ((top, 14, "ma"), (bottom, image.height - 14, "md")):
        size = 60
        while draw.textlength(text.upper(), _font(size, "DejaVuSans-Bold")) > image.width - 30:
            size -= 2
        draw.text((image.width / 2, y), text.upper(), "white", _font(size, "DejaVuSans-Bold"), anchor, stroke_width=4, stroke_fill="black")
    out = io.BytesIO()
    image.save(out, format="JPEG", quality=80)
    return out.getvalue()


def _chart_bikes() -> Image.Image:
    image, draw = _sheet(800, 520)
    draw.text((40, 24), "Cyclists on Mill Bridge, per day", INK, _font(30, "DejaVuSans-Bold"))
    months = (("Jan", 310), ("Feb", 420), ("Mar", 790), ("Apr", 1240), ("May", 1680), ("Jun", 2130))
    for i, (month, count) in enumerate(months):
        x, top = 80 + i * 115, 450 - count * 340 / 2200
        draw.rectangle((x, top, x + 74, 450), BLUE)
        draw.text((x + 37, top - 6), f"{count:,}", INK, _font(20), "md")
        draw.text((x + 37, 462), month, INK, _font(20), "ma")
    draw.line((60, 450, 770, 450), INK, 2)
    return image


def _chart_rain() -> Image.Image:
    image, draw = _sheet(800, 500)
    draw.text((40, 24), "Reservoir level, % of capacity", INK, _font(30, "DejaVuSans-Bold"))
    levels = (88, 86, 83, 79, 72, 64, 55, 47, 41, 38, 36, 34)
    points = [(80 + i * 60, 430 - level * 3.4) for i, level in enumerate(levels)]
    for percent in (25, 50, 75, 100):
        draw.line((70, 430 - percent * 3.4, 760, 430 - percent * 3.4), "#dcdcd6", 2)
        draw.text((60, 430 - percent * 3.4), str(percent), GREY, _font(18), "rm")
    draw.line(points, RED, 5, "curve")
    for x, y in points:
        draw.ellipse((x - 6, y - 6, x + 6, y + 6), RED)
    for i, month in enumerate("JFMAMJJASOND"):
        draw.text((80 + i * 60, 442), month, INK, _font(20), "ma")
    return image


def _chart_budget() -> Image.Image:
    image, draw = _sheet(760, 520)
    draw.text((40, 24), "Where each euro of the club goes", INK, _font(28, "DejaVuSans-Bold"))
    start = -90.0
    for i, (name, share, colour) in enumerate((("Hall rent", 46, BLUE), ("Coaches", 28, GREEN), ("Travel", 17, AMBER), ("Tea", 9, RED))):
        draw.pieslice((50, 100, 430, 480), start, start + share * 3.6, colour)
        start += share * 3.6
        draw.rectangle((480, 170 + i * 64, 510, 200 + i * 64), colour)
        draw.text((524, 185 + i * 64), f"{name}  {share} %", INK, _font(26), "lm")
    return image


def _departures() -> Image.Image:
    image, draw = _sheet(860, 480, "#101820")
    draw.text((30, 22), "Departures", "#ffd24a", _font(36, "DejaVuSansMono-Bold"))
    rows = (("08:05", "Harbour North", "2", "on time"), ("08:12", "Old Mill", "5", "+25 min"), ("08:20", "University", "1", "cancelled"),
            ("08:31", "Airport", "3", "+40 min"), ("08:40", "Lake Street", "4", "cancelled"), ("08:52", "Harbour North", "2", "+15 min"))
    for i, (time, place, platform, state) in enumerate(rows):
        y = 100 + i * 60
        for x, text in ((30, time), (160, place), (520, platform), (600, state)):
            draw.text((x, y), text, "#ffd24a" if state == "on time" or x < 600 else "#ff6a5a", _font(30, "DejaVuSansMono"))
    return image


def _ticket() -> Image.Image:
    image, draw = _sheet(800, 360, "#d9d4c8")
    draw.rounded_rectangle((30, 40, 770, 320), 18, "#fff8e6", INK, 3)
    draw.line([(590, y) for y in (40, 320)], INK, 2)
    draw.text((60, 66), "ADMIT ONE", RED, _font(24, "DejaVuSans-Bold"))
    draw.text((60, 110), "The Lanterns", INK, _font(48, "DejaVuSerif-Bold"))
    draw.text((60, 180), "Old Brewery, Hall 2", INK, _font(26))
    draw.text((60, 222), "Friday 18 September, 20:00", INK, _font(26))
    draw.text((60, 264), "Row F  Seat 14", INK, _font(26, "DejaVuSans-Bold"))
    chance = random.Random(3)
    x = 625
    while x < 735:
        width = chance.choice((2, 4, 6))
        draw.rectangle((x, 80, x + width, 280), INK)
        x += width + chance.choice((3, 5))
    return image


def _quote() -> Image.Image:
    image, draw = _sheet(720, 720, "#22405c")
    draw.text((60, 60), "“", AMBER, _font(160, "DejaVuSerif-Bold"))
    draw.multiline_text((70, 230), "Small steps\nstill cross\nthe river.", "white", _font(68, "DejaVuSerif"), spacing=18)
    draw.text((70, 610), "— the ferryman", AMBER, _font(30))
    return image


def _chat() -> Image.Image:
    image, draw = _sheet(620, 760, "#e9eef2")
    lines = (("l", "are you coming tonight?"), ("r", "yes! what should I bring"), ("l", "just yourself"), ("l", "and the drill you borrowed\nin March"), ("r", "…what drill"), ("l", "the red one"), ("r", "I am suddenly very ill"))
    y = 40
    for side, text in lines:
        box = draw.multiline_textbbox((0, 0), text, _font(26))
        width, height = box[2] + 40, box[3] + 34
        x = 24 if side == "l" else 596 - width
        draw.rounded_rectangle((x, y, x + width, y + height), 22, "white" if side == "l" else "#bfe3c7")
        draw.multiline_text((x + 20, y + 14), text, INK, _font(26))
        y += height + 22
    return image


def _terminal() -> Image.Image:
    image, draw = _sheet(860, 460, "#15181c")
    text = ("$ make release\n"
            "compiling 214 packages ... ok\n"
            "running 3,120 tests ...\n"
            "FAIL parser/dates_test: year 2027 is not a leap year\n"
            "     want 29 February, got 1 March\n"
            "3,119 passed, 1 failed\n"
            "make: *** [release] Error 1\n"
            "$ ")
    draw.multiline_text((30, 36), text, "#d6dde4", _font(23, "DejaVuSansMono"), spacing=20)
    return image


def _receipt() -> Image.Image:
    image, draw = _sheet(520, 760, "#bdb6aa")
    draw.rectangle((50, 30, 470, 730), "#fffefa")
    draw.text((260, 60), "CORNER BAKERY", INK, _font(30, "DejaVuSansMono-Bold"), "ma")
    rows = (("2 rye loaf", "7.80"), ("4 bun", "4.40"), ("1 plum cake", "12.50"), ("1 coffee", "2.90"), ("", ""), ("TOTAL", "27.60"), ("CARD", "27.60"))
    for i, (name, price) in enumerate(rows):
        draw.text((80, 150 + i * 56), name, INK, _font(26, "DejaVuSansMono"))
        draw.text((440, 150 + i * 56), price, INK, _font(26, "DejaVuSansMono"), "ra")
    draw.text((260, 650), "thank you!", INK, _font(24, "DejaVuSansMono"), "ma")
    return image


def _closed_sign() -> Image.Image:
    image, draw = _sheet(700, 560, "#6f8f7a")
    draw.line((350, 20, 180, 130), INK, 4)
    draw.line((350, 20, 520, 130), INK, 4)
    draw.rounded_rectangle((90, 130, 610, 500), 20, PAPER, RED, 10)
    draw.text((350, 190), "CLOSED", RED, _font(92, "DejaVuSans-Bold"), "ma")
    draw.multiline_text((350, 330), "for stocktaking\nback on Monday at 9", INK, _font(34), "ma", spacing=14, align="center")
    return image


def _route_map() -> Image.Image:
    image, draw = _sheet(780, 600, "#e8efe0")
    for x in range(60, 780, 120):
        draw.line((x, 0, x + 60, 600), "white", 14)
    for y in range(70, 600, 130):
        draw.line((0, y, 780, y - 30), "white", 14)
    draw.polygon([(430, 330), (640, 300), (690, 470), (470, 500)], "#b6d7a8")
    draw.line([(0, 540), (200, 500), (420, 560), (780, 520)], "#9cc4e4", 46, "curve")
    draw.line([(90, 80), (250, 110), (290, 250), (420, 280), (560, 230), (680, 250)], RED, 9, "curve")
    for x, y, name in ((90, 80, "Start"), (680, 250, "Finish")):
        draw.ellipse((x - 14, y - 14, x + 14, y + 14), RED)
        draw.text((x, y - 22), name, INK, _font(26, "DejaVuSans-Bold"), "mb")
    draw.text((560, 400), "Park", GREEN, _font(26), "mm")
    draw.text((300, 530), "River", BLUE, _font(26), "mm")
    return image


def _poster() -> Image.Image:
    image, draw = _sheet(640, 860, AMBER)
    draw.rectangle((40, 40, 600, 820), outline=INK, width=6)
    draw.multiline_text((320, 90), "REPAIR\nCAFÉ", INK, _font(96, "DejaVuSans-Bold"), "ma", spacing=14, align="center")
    draw.ellipse((230, 350, 410, 530), outline=INK, width=22)
    for i in range(8):
        a = i * math.pi / 4
        draw.line((320 + 95 * math.cos(a), 440 + 95 * math.sin(a), 320 + 125 * math.cos(a), 440 + 125 * math.sin(a)), INK, 26)
    draw.multiline_text((320, 600), "Saturday 14–17\nLibrary basement\nBring what is broken", INK, _font(36), "ma", spacing=18, align="center")
    return image


def _recipe() -> Image.Image:
    image, draw = _sheet(640, 800, "#fdf3e3")
    draw.text((320, 50), "Lentil soup", RED, _font(52, "DejaVuSerif-Bold"), "ma")
    lines = "250 g red lentils\n1 onion, 2 carrots\n1 l stock\n1 tsp cumin\nlemon\n\nFry onion and cumin,\nadd the rest, 20 minutes,\nthen blend half of it.\nLemon at the end."
    draw.multiline_text((80, 160), lines, INK, _font(32, "DejaVuSerif"), spacing=18)
    return image


def _scoreboard() -> Image.Image:
    image, draw = _sheet(820, 420, "#0d2b1d")
    for x, team, goals in ((210, "ROVERS", "3"), (610, "UNITED", "2")):
        draw.text((x, 50), team, "white", _font(44, "DejaVuSans-Bold"), "ma")
        draw.text((x, 120), goals, "#ffe14d", _font(180, "DejaVuSansMono-Bold"), "ma")
    draw.text((410, 200), ":", "white", _font(90, "DejaVuSans-Bold"), "mm")
    draw.text((410, 350), "90 + 4", "#ffe14d", _font(40, "DejaVuSansMono"), "mm")
    return image


def _forecast() -> Image.Image:
    image, draw = _sheet(820, 380, "#3b78b5")
    days = (("Thu", "21°", "sun"), ("Fri", "18°", "cloud"), ("Sat", "11°", "rain"), ("Sun", "9°", "rain"), ("Mon", "14°", "cloud"))
    for i, (day, degrees, sky) in enumerate(days):
        x = 90 + i * 160
        draw.text((x, 40), day, "white", _font(34, "DejaVuSans-Bold"), "ma")
        if sky == "sun":
            draw.ellipse((x - 46, 120, x + 46, 212), "#ffd84a")
        else:
            for dx, r in ((-34, 30), (0, 42), (34, 30)):
                draw.ellipse((x + dx - r, 165 - r, x + dx + r, 165 + r), "white")
        if sky == "rain":
            for dx in (-36, -8, 20):
                draw.line((x + dx + 12, 214, x + dx, 250), "#cfe6ff", 6)
        draw.text((x, 280), degrees, "white", _font(44), "ma")
    return image


def _timetable() -> Image.Image:
    image, draw = _sheet(820, 560)
    draw.text((40, 24), "Swimming pool, autumn", INK, _font(32, "DejaVuSans-Bold"))
    rows = (("", "Mon", "Wed", "Sat"), ("06:30", "lanes", "lanes", "—"), ("09:00", "schools", "aqua", "family"), ("14:00", "open", "closed", "open"), ("18:00", "lanes", "water polo", "open"))
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            x, y = 40 + c * 188, 100 + r * 86
            draw.rectangle((x, y, x + 182, y + 80), "#dfe8f0" if r == 0 or c == 0 else "white", "#b8c2cc", 2)
            draw.text((x + 91, y + 40), cell, RED if cell == "closed" else INK, _font(28), "mm")
    return image


def _badge() -> Image.Image:
    image = Image.new("RGBA", (480, 480), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for i, colour in enumerate((BLUE, GREEN, AMBER)):
        a = -math.pi / 2 + i * 2 * math.pi / 3
        x, y = 240 + 90 * math.cos(a), 240 + 90 * math.sin(a)
        draw.ellipse((x - 120, y - 120, x + 120, y + 120), outline=colour, width=34)
    return image


def _signal() -> bytes:
    frames = []
    for lit in range(3):
        image, draw = _sheet(240, 520, "#bcd3e6")
        draw.rounded_rectangle((60, 40, 180, 400), 30, INK)
        draw.rectangle((108, 400, 132, 520), INK)
        for i, colour in enumerate((RED, AMBER, GREEN)):
            draw.ellipse((80, 60 + i * 115, 160, 140 + i * 115), colour if i == lit else "#39424d")
        frames.append(image)
    out = io.BytesIO()
    frames[0].save(out, format="GIF", save_all=True, append_images=frames[1:], duration=800, loop=0)
    return out.getvalue()


_DRAWN: tuple[Callable[[], Image.Image], ...] = (
    _chart_bikes, _chart_rain, _chart_budget, _departures, _ticket, _quote, _chat, _terminal, _receipt,
    _closed_sign, _route_map, _poster, _recipe, _scoreboard, _forecast, _timetable,
)
