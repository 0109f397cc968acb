"""Small objects: things that stand on furniture or beside it. One builder a category, metres, standing on Y = 0."""

from __future__ import annotations

import numpy as np

from sim.houses.assets import FLOOR, SURFACE, Category, Maker

_BRIGHT = ("red", "blue", "green", "yellow", "orange", "purple", "teal", "pink")
_TABLEWARE = ("white", "blue", "red", "green", "yellow", "black", "orange", "teal")


def _cup(m: Maker) -> None:
    r = m.vary(0.036, 0.05)
    side = m.main()
    s = m.sculptor
    s.lathe([(r * 0.8, 0), (r, r * 2.2), (r * 0.8, r * 2.0)], side, sides=8)
    s.box((r * 0.9, r * 0.5, -0.006), (r * 1.55, r * 0.75, 0.006), side, bottom=True)
    s.box((r * 1.35, r * 0.75, -0.006), (r * 1.55, r * 1.5, 0.006), side)
    s.box((r * 0.9, r * 1.5, -0.006), (r * 1.55, r * 1.75, 0.006), side, bottom=True)


def _bowl(m: Maker) -> None:
    r = m.vary(0.08, 0.13)
    outside, inside = m.main(), m.paint(m.material, m.choose(("white", m.colour)), "gloss")
    m.sculptor.lathe([(r * 0.45, 0), (r * 0.85, r * 0.35), (r, r * 0.7)], outside, sides=9)
    m.sculptor.lathe([(r, r * 0.7), (r * 0.8, r * 0.35), (r * 0.3, r * 0.12)], inside, sides=9)
    m.sculptor.disc((0, r * 0.12, 0), r * 0.32, (0, 1, 0), inside, 12)


def _plate(m: Maker) -> None:
    r = m.vary(0.1, 0.15)
    rim, middle = m.main(), m.paint(m.material, "white", "gloss")
    m.sculptor.lathe([(r * 0.6, 0), (r, 0.022), (r * 0.7, 0.012)], rim, sides=8)
    m.sculptor.disc((0, 0.0125, 0), r * 0.7, (0, 1, 0), middle, 14)


def _bottle(m: Maker) -> None:
    h = m.vary(0.22, 0.34)
    r = h * m.uniform(0.12, 0.16)
    glass, label, cap = (
        m.main("gloss"),
        m.paint("paper", m.choose(("white", "beige", "red", "yellow")), "label"),
        m.paint("plastic", m.choose(("black", "red", "white"))),
    )
    m.sculptor.lathe([(r, 0), (r, h * 0.55), (r * 0.35, h * 0.75), (r * 0.33, h * 0.94)], glass, sides=9)
    m.sculptor.lathe([(r * 1.03, h * 0.15), (r * 1.03, h * 0.45)], label, sides=9)
    m.sculptor.lathe([(r * 0.4, h * 0.93), (r * 0.4, h)], cap, sides=8)


def _vase(m: Maker) -> None:
    h = m.vary(0.2, 0.36)
    side, stem, flower = (
        m.main(),
        m.paint("leaf", "green"),
        m.paint("fabric", m.choose(("red", "yellow", "pink", "purple", "white")), "fur"),
    )
    r = h * m.uniform(0.2, 0.28)
    m.sculptor.lathe([(r * 0.6, 0), (r, h * 0.35), (r * 0.45, h * 0.85), (r * 0.6, h)], side, sides=8)
    for i in range(int(m.uniform(0, 5))):
        a = 2 * np.pi * i / 4 + m.uniform(0, 0.5)
        top = (0.07 * np.sin(a), h * m.uniform(1.3, 1.6), 0.07 * np.cos(a))
        m.sculptor.rod((0, h * 0.8, 0), top, 0.005, stem, 3)
        m.sculptor.ball(top, (0.032, 0.026, 0.032), flower, 5, 3)


def _book(m: Maker) -> None:
    count = int(m.uniform(1, 4))
    covers = [m.main("label"), m.paint("paper", m.choose(_BRIGHT), "label"), m.paint("paper", "beige")]
    w, d = m.vary(0.13, 0.2), m.uniform(0.19, 0.27)
    y = 0.0
    for i in range(count):
        t, turn = m.uniform(0.02, 0.045), m.uniform(-0.02, 0.02)
        x0, x1, z0, z1 = -w / 2 + turn, w / 2 + turn, -d / 2 + turn, d / 2 + turn
        m.sculptor.box((x0, y, z0), (x1, y + t, z1), covers[i % 2])
        y0, y1, x2, z2 = y + 0.004, y + t - 0.004, x1 + 0.001, z1 + 0.001
        m.sculptor.quad((x0, y0, z2), (x1, y0, z2), (x1, y1, z2), (x0, y1, z2), covers[2])
        m.sculptor.quad((x2, y0, z1), (x2, y0, z0), (x2, y1, z0), (x2, y1, z1), covers[2])
        y += t


def _laptop(m: Maker) -> None:
    w, d = m.vary(0.3, 0.38), 0.23
    shell, keys, screen = m.main("gloss"), m.paint("plastic", "black", "keys"), m.paint("plastic", "black", "desktop")
    s = m.sculptor
    s.box((-w / 2, 0, -d / 2), (w / 2, 0.018, d / 2), shell)
    s.panel(
        (-w / 2 + 0.02, 0.019, d / 2 - 0.08),
        (w / 2 - 0.02, 0.019, d / 2 - 0.08),
        (w / 2 - 0.02, 0.019, -d / 2 + 0.02),
        (-w / 2 + 0.02, 0.019, -d / 2 + 0.02),
        swatch=keys,
    )
    low, high, back = 0.018, 0.22, -d / 2 - 0.07
    front = ((-w / 2, low, -d / 2), (w / 2, low, -d / 2), (w / 2, high, back), (-w / 2, high, back))
    s.panel(*front, swatch=screen)
    behind = [(x, y, z - 0.008) for x, y, z in front]
    s.quad(behind[3], behind[2], behind[1], behind[0], shell)
    for i, j in ((1, 2), (2, 3), (3, 0)):
        s.quad(front[j], front[i], behind[i], behind[j], swatch=shell)


def _monitor(m: Maker) -> None:
    w = m.vary(0.5, 0.7)
    h = w * 0.58
    shell, screen = m.main(), m.paint("plastic", "blue", "desktop")
    s = m.sculptor
    s.box((-0.12, 0, -0.08), (0.12, 0.015, 0.1), shell)
    s.box((-0.03, 0.015, -0.03), (0.03, 0.16, 0.0), shell)
    s.box((-w / 2, 0.1, 0.0), (w / 2, 0.1 + h, 0.035), shell, bottom=True)
    s.panel(
        (-w / 2 + 0.012, 0.112, 0.037),
        (w / 2 - 0.012, 0.112, 0.037),
        (w / 2 - 0.012, 0.088 + h, 0.037),
        (-w / 2 + 0.012, 0.088 + h, 0.037),
        swatch=screen,
    )


def _tv(m: Maker) -> None:
    w = m.vary(0.8, 1.35)
    h = w * 0.57
    shell, screen = m.main(), m.paint("glass", "black", "screen")
    s = m.sculptor
    s.box((-w * 0.22, 0, -0.1), (w * 0.22, 0.015, 0.12), shell)
    s.box((-0.06, 0.015, -0.03), (0.06, 0.1, 0.0), shell)
    s.box((-w / 2, 0.06, -0.01), (w / 2, 0.06 + h, 0.035), shell, bottom=True)
    s.panel(
        (-w / 2 + 0.015, 0.075, 0.037),
        (w / 2 - 0.015, 0.075, 0.037),
        (w / 2 - 0.015, 0.045 + h, 0.037),
        (-w / 2 + 0.015, 0.045 + h, 0.037),
        swatch=screen,
    )


def _keyboard(m: Maker) -> None:
    w, d = m.vary(0.36, 0.46), 0.14
    shell, keys = m.main(), m.paint("plastic", m.colour, "keys")
    m.sculptor.box((-w / 2, 0, -d / 2), (w / 2, 0.018, d / 2), shell)
    m.sculptor.panel(
        (-w / 2 + 0.01, 0.02, d / 2 - 0.01),
        (w / 2 - 0.01, 0.02, d / 2 - 0.01),
        (w / 2 - 0.01, 0.02, -d / 2 + 0.01),
        (-w / 2 + 0.01, 0.02, -d / 2 + 0.01),
        swatch=keys,
    )


def _table_lamp(m: Maker) -> None:
    h = m.vary(0.32, 0.5)
    foot, cover = (
        m.paint(m.choose(("ceramic", "metal", "wood")), m.choose(("white", "grey", "brown", "blue", "teal"))),
        m.main(),
    )
    s = m.sculptor
    if m.chance(0.5):
        s.lathe([(0.06, 0), (0.075, h * 0.2), (0.02, h * 0.5)], foot, sides=9)
    else:
        s.lathe([(0.08, 0), (0.08, 0.02), (0.012, 0.03), (0.012, h * 0.6)], foot, sides=8)
    s.lathe([(h * 0.33, h * 0.52), (h * 0.22, h)], cover, sides=8)


def _teddy_bear(m: Maker) -> None:
    k = m.vary(0.8, 1.5)
    fur, snout = m.main(), m.paint("plush", "beige")
    s = m.sculptor
    s.ball((0, 0.11 * k, 0), (0.09 * k, 0.11 * k, 0.08 * k), fur, 7, 4)
    s.ball((0, 0.27 * k, 0.01 * k), (0.08 * k, 0.075 * k, 0.075 * k), fur, 7, 4)
    s.ball((0, 0.255 * k, 0.08 * k), (0.035 * k, 0.03 * k, 0.03 * k), snout, 5, 3)
    for x in (-1, 1):
        s.ball((x * 0.06 * k, 0.335 * k, 0), (0.03 * k, 0.03 * k, 0.015 * k), fur, 5, 3)
        s.ball((x * 0.1 * k, 0.16 * k, 0.04 * k), (0.03 * k, 0.03 * k, 0.06 * k), fur, 5, 3)
        s.ball((x * 0.06 * k, 0.035 * k, 0.09 * k), (0.035 * k, 0.035 * k, 0.07 * k), fur, 5, 3)


def _ball(m: Maker) -> None:
    r = m.vary(0.07, 0.14)
    m.sculptor.ball((0, r, 0), (r, r, r), m.main(), 10, 6)


def _box(m: Maker) -> None:
    w, d, h = m.vary(0.2, 0.42), m.uniform(0.2, 0.34), m.uniform(0.15, 0.3)
    side, tape = m.main(), m.paint("paper", m.choose(("beige", "white")))
    s = m.sculptor
    s.box((-w / 2, 0, -d / 2), (w / 2, h, d / 2), side)
    s.box((-0.03, h * 0.6, -d / 2 - 0.002), (0.03, h + 0.002, d / 2 + 0.002), tape)


def _basket(m: Maker) -> None:
    r, h = m.vary(0.15, 0.24), m.uniform(0.22, 0.36)
    side, cloth = m.main(), m.paint("fabric", m.choose(("white", "grey", "blue", "pink")), "fur")
    m.sculptor.lathe([(r * 0.8, 0), (r, h)], side, sides=9)
    m.sculptor.ball((0, h * 0.9, 0), (r * 0.9, h * 0.2, r * 0.9), cloth, 8, 3)


def _trash_can(m: Maker) -> None:
    r, h = m.vary(0.12, 0.2), m.uniform(0.28, 0.55)
    side, inside = m.main(), m.paint("plastic", "black")
    m.sculptor.lathe([(r * 0.8, 0), (r, h), (r * 0.92, h)], side, sides=9)
    m.sculptor.disc((0, h - 0.02, 0), r * 0.93, (0, 1, 0), inside, 12)


def _backpack(m: Maker) -> None:
    k = m.vary(0.85, 1.15)
    cloth, pocket = m.main(), m.paint("fabric", m.choose(("black", "grey", "brown", m.colour)), "fabric")
    s = m.sculptor
    s.cushion((-0.15 * k, 0, -0.09 * k), (0.15 * k, 0.42 * k, 0.08 * k), cloth, 0.06)
    s.cushion((-0.11 * k, 0.03 * k, 0.08 * k), (0.11 * k, 0.22 * k, 0.14 * k), pocket, 0.03)
    s.box((-0.04 * k, 0.42 * k, -0.03 * k), (0.04 * k, 0.46 * k, -0.01 * k), pocket)
    for x in (-0.09, 0.06):
        s.box((x * k, 0.08 * k, -0.12 * k), ((x + 0.03) * k, 0.38 * k, -0.09 * k), pocket, bottom=True)


def _shoe(m: Maker) -> None:
    k = m.vary(0.85, 1.15)
    upper, sole = m.main(), m.paint("rubber", m.choose(("white", "black")), "plain")
    s = m.sculptor
    for x in (-0.07, 0.07):
        s.box(((x - 0.045) * k, 0, -0.13 * k), ((x + 0.045) * k, 0.025 * k, 0.14 * k), sole)
        s.cushion(((x - 0.042) * k, 0.025 * k, -0.12 * k), ((x + 0.042) * k, 0.11 * k, 0.0), upper, 0.02)
        s.cushion(((x - 0.042) * k, 0.025 * k, 0.0), ((x + 0.042) * k, 0.075 * k, 0.135 * k), upper, 0.035)


def _candle(m: Maker) -> None:
    h, r = m.vary(0.08, 0.2), m.uniform(0.025, 0.04)
    wax, dish = m.main(), m.paint("metal", "yellow")
    m.sculptor.cylinder((0, 0, 0), r * 1.6, 0.012, dish, 8)
    m.sculptor.cylinder((0, 0.012, 0), r, h, wax, 7)
    m.sculptor.ball((0, h + 0.035, 0), (0.008, 0.018, 0.008), dish, 4, 3)


def _kettle(m: Maker) -> None:
    r = m.vary(0.08, 0.11)
    body, handle = m.main("gloss"), m.paint("plastic", "black")
    s = m.sculptor
    s.lathe([(r, 0), (r * 1.02, r * 0.5), (r * 0.7, r * 1.7), (r * 0.3, r * 1.8)], body, sides=8)
    s.rod((r * 0.7, r * 0.9, 0), (r * 1.5, r * 1.6, 0), 0.014, body, 5)
    s.ball((0, r * 1.9, 0), (0.015, 0.015, 0.015), handle, 5, 3)
    s.box((-r * 1.35, r * 0.4, -0.012), (-r * 1.15, r * 1.9, 0.012), handle)
    s.box((-r * 1.35, r * 1.7, -0.012), (-r * 0.4, r * 1.9, 0.012), handle, bottom=True)
    s.box((-r * 1.35, r * 0.4, -0.012), (-r * 0.8, r * 0.55, 0.012), handle, bottom=True)


def _pot(m: Maker) -> None:
    r = m.vary(0.09, 0.14)
    h = r * m.uniform(0.9, 1.4)
    body, handle = m.main("gloss"), m.paint("plastic", "black")
    s = m.sculptor
    s.lathe([(r * 0.92, 0), (r, 0.02), (r, h), (r * 0.3, h + 0.03)], body, sides=9)
    s.ball((0, h + 0.045, 0), (0.02, 0.02, 0.02), handle, 5, 3)
    for x in (-1, 1):
        s.box(
            (min(x * r, x * (r + 0.05)), h * 0.75, -0.04),
            (max(x * r, x * (r + 0.05)), h * 0.85, 0.04),
            handle,
            bottom=True,
        )


def _pan(m: Maker) -> None:
    r = m.vary(0.1, 0.15)
    body, handle, inside = m.main("gloss"), m.paint("plastic", "black"), m.paint("metal", "black", "metal")
    s = m.sculptor
    s.lathe([(r * 0.8, 0), (r, 0.045), (r * 0.95, 0.045)], body, sides=9)
    s.disc((0, 0.02, 0), r * 0.92, (0, 1, 0), inside, 12)
    s.box((r * 0.95, 0.025, -0.012), (r * 0.95 + 0.17, 0.045, 0.012), handle, bottom=True)


def _toaster(m: Maker) -> None:
    w = m.vary(0.26, 0.34)
    body, slot = m.main("gloss"), m.paint("plastic", "black")
    s = m.sculptor
    s.cushion((-w / 2, 0.01, -0.09), (w / 2, 0.19, 0.09), body, 0.04)
    for z in (-0.035, 0.02):
        s.box((-w / 2 + 0.06, 0.188, z), (w / 2 - 0.06, 0.193, z + 0.018), slot)
    s.box((w / 2, 0.1, -0.02), (w / 2 + 0.025, 0.12, 0.02), slot, bottom=True)


def _microwave(m: Maker) -> None:
    w, d, h = m.vary(0.44, 0.54), 0.34, 0.28
    body, glass, keys = m.main("gloss"), m.paint("glass", "black", "screen"), m.paint("plastic", "grey", "keys")
    s = m.sculptor
    s.box((-w / 2, 0, -d / 2), (w / 2, h, d / 2), body)
    s.box((-w / 2 + 0.02, 0.03, d / 2), (w / 2 - 0.13, h - 0.03, d / 2 + 0.01), glass)
    s.panel(
        (w / 2 - 0.11, 0.03, d / 2 + 0.004),
        (w / 2 - 0.02, 0.03, d / 2 + 0.004),
        (w / 2 - 0.02, h - 0.03, d / 2 + 0.004),
        (w / 2 - 0.11, h - 0.03, d / 2 + 0.004),
        swatch=keys,
    )


def _coffee_maker(m: Maker) -> None:
    k = m.vary(0.9, 1.15)
    body, jug, light = m.main("gloss"), m.paint("glass", "black", "gloss"), m.paint("metal", "grey")
    s = m.sculptor
    s.box((-0.1 * k, 0, -0.12 * k), (0.1 * k, 0.03 * k, 0.12 * k), body)
    s.box((-0.1 * k, 0.03 * k, -0.12 * k), (0.1 * k, 0.34 * k, -0.03 * k), body)
    s.box((-0.1 * k, 0.24 * k, -0.03 * k), (0.1 * k, 0.34 * k, 0.11 * k), body, bottom=True)
    s.lathe([(0.06 * k, 0.035 * k), (0.07 * k, 0.1 * k), (0.045 * k, 0.18 * k)], jug, (0, 0, 0.04 * k), 9)
    s.box((-0.03 * k, 0.27 * k, 0.11 * k), (0.03 * k, 0.31 * k, 0.115 * k), light)


def _fruit(m: Maker) -> None:
    """Three to five apples or oranges in a heap."""
    r = m.vary(0.032, 0.045)
    skin, stem = m.main(), m.paint("wood", "brown")
    for i, (x, z) in enumerate(((-1, -0.6), (1, -0.6), (0, 1.1))):
        m.sculptor.ball((x * r, r, z * r), (r, r * 0.95, r), skin, 6, 4)
        m.sculptor.rod((x * r, r * 1.85, z * r), (x * r + 0.004, r * 2.2, z * r), 0.003, stem, 3)
        if i == 2:
            m.sculptor.ball((0, r * 2.5, 0), (r, r * 0.95, r), skin, 6, 4)


def _banana(m: Maker) -> None:
    k = m.vary(0.9, 1.2)
    skin, tip = m.main(), m.paint("wood", "brown")
    for j in range(3):
        previous = None
        for i in range(4):
            a = np.pi * (0.15 + 0.7 * i / 3)
            point = np.array([-np.cos(a) * 0.1, 0.022 + 0.05 * (1 - np.sin(a)), (j - 1) * 0.034]) * k
            if previous is not None:
                m.sculptor.rod(previous, point, 0.016 * k, skin if i < 3 else tip, 4)
            previous = point


def _bread(m: Maker) -> None:
    k = m.vary(0.85, 1.15)
    crust, board = m.main(), m.paint("wood", "brown")
    m.sculptor.box((-0.18 * k, 0, -0.11 * k), (0.18 * k, 0.018, 0.11 * k), board)
    m.sculptor.ball((0, 0.06 * k, 0), (0.14 * k, 0.05 * k, 0.06 * k), crust, 8, 4)


def _towel(m: Maker) -> None:
    w, layers = m.vary(0.24, 0.36), 2
    cloth, other = m.main(), m.paint("fabric", "white", "fabric")
    for i in range(layers):
        m.sculptor.cushion((-w / 2, i * 0.05, -0.12), (w / 2, i * 0.05 + 0.05, 0.12), other if i else cloth, 0.02)
    m.sculptor.cushion((-w / 2 + 0.01, 0.1, -0.11), (w / 2 - 0.01, 0.14, 0.11), cloth, 0.02)


def _soap_dispenser(m: Maker) -> None:
    h = m.vary(0.13, 0.19)
    body, pump = m.main("gloss"), m.paint("metal", "grey")
    m.sculptor.lathe([(0.032, 0), (0.034, h * 0.6), (0.015, h * 0.72)], body, sides=9)
    m.sculptor.cylinder((0, h * 0.72, 0), 0.008, h * 0.25, pump, 5)
    m.sculptor.box((-0.008, h * 0.93, -0.008), (0.008, h, 0.045), pump, bottom=True)


def _toilet_paper(m: Maker) -> None:
    r = m.vary(0.05, 0.065)
    paper, core = m.main(), m.paint("paper", "brown")
    m.sculptor.cylinder((0, 0, 0), r, 0.1, paper, 12)
    m.sculptor.disc((0, 0.101, 0), r * 0.4, (0, 1, 0), core, 8)


def _pillow(m: Maker) -> None:
    w = m.vary(0.34, 0.46)
    cloth = m.main()
    m.sculptor.ball((0, 0.08, 0), (w * 0.62, 0.08, w * 0.62), cloth, 4, 5)


def _umbrella(m: Maker) -> None:
    h = m.vary(0.75, 0.95)
    cloth, handle = m.main(), m.paint("wood", "black")
    m.sculptor.lathe([(0.012, 0.0), (0.06, h * 0.45), (0.045, h * 0.72), (0.012, h * 0.78)], cloth, sides=8)
    m.sculptor.cylinder((0, h * 0.78, 0), 0.014, h * 0.22, handle, 6)
    m.sculptor.cylinder((0, 0, 0), 0.1, 0.02, handle, 10)


def _guitar(m: Maker) -> None:
    k = m.vary(0.9, 1.05)
    body, neck, dark = m.main(), m.paint("wood", "brown", "wood"), m.paint("plastic", "black")
    s = m.sculptor
    for y, r in ((0.2, 0.19), (0.45, 0.14)):
        s.drum((0, y * k, -0.05 * k), r * k, 0.1 * k, body)
    s.disc((0, 0.36 * k, 0.052 * k), 0.055 * k, (0, 0, 1), dark, 10)
    s.box((-0.028 * k, 0.45 * k, 0.03 * k), (0.028 * k, 0.95 * k, 0.06 * k), neck)
    s.box((-0.04 * k, 0.95 * k, 0.025 * k), (0.04 * k, 1.08 * k, 0.05 * k), dark)


def _speaker(m: Maker) -> None:
    w, h = m.vary(0.16, 0.24), m.uniform(0.28, 0.4)
    body, cone = m.main(), m.paint("plastic", "black", "gloss")
    s = m.sculptor
    s.box((-w / 2, 0, -w / 2), (w / 2, h, w / 2), body)
    s.disc((0, h * 0.3, w / 2 + 0.002), w * 0.38, (0, 0, 1), cone, 12)
    s.disc((0, h * 0.75, w / 2 + 0.002), w * 0.2, (0, 0, 1), cone, 10)


def _toy_car(m: Maker) -> None:
    k = m.vary(0.8, 1.4)
    body, wheel, glass = m.main("gloss"), m.paint("rubber", "black", "plain"), m.paint("glass", "teal", "gloss")
    s = m.sculptor
    s.cushion((-0.06 * k, 0.025 * k, -0.13 * k), (0.06 * k, 0.08 * k, 0.13 * k), body, 0.015)
    s.cushion((-0.05 * k, 0.08 * k, -0.08 * k), (0.05 * k, 0.125 * k, 0.05 * k), glass, 0.025)
    for x in (-0.06, 0.06):
        for z in (-0.085, 0.085):
            s.rod(((x - 0.012) * k, 0.03 * k, z * k), ((x + 0.012) * k, 0.03 * k, z * k), 0.03 * k, wheel, 8)


def _toy_blocks(m: Maker) -> None:
    a = m.vary(0.05, 0.08)
    paints = [m.main(), m.paint("wood", m.choose(_BRIGHT), "plain"), m.paint("wood", m.choose(_BRIGHT), "plain")]
    for i, (x, y, z) in enumerate(((-1.1, 0, 0), (0, 0, 0.2), (1.1, 0, -0.1), (-0.5, 1, 0.1), (0.5, 1, 0), (0, 2, 0))):
        low = np.array([x * a - a / 2, y * a, z * a - a / 2])
        m.sculptor.box(low, low + a, paints[i % 3])


def _globe(m: Maker) -> None:
    r = m.vary(0.1, 0.15)
    sea, stand = m.main("marble"), m.paint("wood", "brown")
    s = m.sculptor
    s.cylinder((0, 0, 0), r * 0.7, 0.02, stand, 10)
    s.cylinder((0, 0.02, 0), 0.012, 0.06, stand, 5)
    s.ball((0, 0.07 + r, 0), (r, r, r), sea, 9, 6)


def _photo_frame(m: Maker) -> None:
    w, h = m.vary(0.12, 0.2), m.uniform(0.14, 0.22)
    frame, photo = m.main(), m.paint("paper", "white", "painting")
    s = m.sculptor
    s.box((-w / 2, 0, -0.012), (w / 2, h, 0.006), frame)
    s.panel(
        (-w / 2 + 0.015, 0.015, 0.008),
        (w / 2 - 0.015, 0.015, 0.008),
        (w / 2 - 0.015, h - 0.015, 0.008),
        (-w / 2 + 0.015, h - 0.015, 0.008),
        swatch=photo,
    )
    s.box((-0.015, 0, -0.07), (0.015, h * 0.6, -0.012), frame)


def _alarm_clock(m: Maker) -> None:
    r = m.vary(0.05, 0.075)
    body, face = m.main("gloss"), m.paint("plastic", "white", "dial")
    s = m.sculptor
    s.cushion((-r, 0, -r * 0.5), (r, r * 1.7, r * 0.5), body, r * 0.4)
    s.disc((0, r * 0.85, r * 0.5 + 0.002), r * 0.72, (0, 0, 1), face, 12)


def _knife_block(m: Maker) -> None:
    k = m.vary(0.9, 1.1)
    wood, grip = m.main(), m.paint("plastic", "black")
    s = m.sculptor
    s.box((-0.06 * k, 0, -0.08 * k), (0.06 * k, 0.2 * k, 0.06 * k), wood)
    for x in (-0.035, 0.0, 0.035):
        for z in (-0.05, 0.0):
            s.box(((x - 0.01) * k, 0.2 * k, (z - 0.012) * k), ((x + 0.01) * k, 0.3 * k, (z + 0.012) * k), grip)


def _scale(m: Maker) -> None:
    w = m.vary(0.26, 0.34)
    top, dial = m.main(), m.paint("plastic", "black", "dial")
    m.sculptor.box((-w / 2, 0, -w / 2), (w / 2, 0.04, w / 2), top)
    m.sculptor.disc((0, 0.042, -w / 2 + 0.07), 0.05, (0, 1, 0), dial, 12)


def _suitcase(m: Maker) -> None:
    w, h, d = m.vary(0.36, 0.5), m.uniform(0.5, 0.68), 0.24
    shell, trim = m.main("stripes"), m.paint("metal", "grey")
    s = m.sculptor
    s.cushion((-w / 2, 0.05, -d / 2), (w / 2, h, d / 2), shell, 0.04)
    for x in (-w / 2 + 0.05, w / 2 - 0.05):
        s.cylinder((x, 0, 0), 0.025, 0.05, trim, 6)
    s.box((-0.09, h, -0.015), (-0.07, h + 0.2, 0.015), trim)
    s.box((0.07, h, -0.015), (0.09, h + 0.2, 0.015), trim)
    s.box((-0.09, h + 0.18, -0.015), (0.09, h + 0.2, 0.015), trim, bottom=True)


def _watering_can(m: Maker) -> None:
    r = m.vary(0.08, 0.12)
    body = m.main("gloss")
    s = m.sculptor
    s.lathe([(r, 0), (r, r * 1.6), (r * 0.7, r * 1.8)], body, sides=8)
    s.rod((r * 0.9, r * 0.4, 0), (r * 2.3, r * 2.0, 0), 0.014, body, 5)
    s.rod((-r * 0.9, r * 0.4, 0), (-r * 1.6, r * 1.2, 0), 0.012, body, 4)
    s.rod((-r * 1.6, r * 1.2, 0), (-r * 0.4, r * 1.9, 0), 0.012, body, 4)


def _pet_bowl(m: Maker) -> None:
    r = m.vary(0.09, 0.13)
    side, food = m.main("gloss"), m.paint("wood", "brown", "fur")
    m.sculptor.lathe([(r, 0), (r * 0.8, r * 0.6), (r * 0.7, r * 0.6)], side, sides=9)
    m.sculptor.disc((0, r * 0.5, 0), r * 0.75, (0, 1, 0), food, 12)


THINGS = (
    Category("cup", _cup, SURFACE, _TABLEWARE, ("ceramic",)),
    Category("bowl", _bowl, SURFACE, _TABLEWARE, ("ceramic", "wood")),
    Category("plate", _plate, SURFACE, _TABLEWARE, ("ceramic",)),
    Category("bottle", _bottle, SURFACE, ("green", "brown", "blue", "teal", "red", "white"), ("glass", "plastic")),
    Category("vase", _vase, SURFACE, _TABLEWARE, ("ceramic", "glass")),
    Category("book", _book, SURFACE, _BRIGHT, ("paper",)),
    Category("laptop", _laptop, SURFACE, ("grey", "black", "white"), ("metal",), 6),
    Category("monitor", _monitor, SURFACE, ("black", "grey", "white"), ("plastic",), 6),
    Category("tv", _tv, SURFACE, ("black", "grey"), ("plastic",), 6),
    Category("keyboard", _keyboard, SURFACE, ("black", "white", "grey"), ("plastic",), 4),
    Category("table lamp", _table_lamp, SURFACE, ("white", "beige", "yellow", "red", "teal", "pink"), ("fabric",)),
    Category("teddy bear", _teddy_bear, SURFACE, ("brown", "beige", "white", "pink", "grey"), ("plush",)),
    Category("ball", _ball, FLOOR, _BRIGHT, ("rubber",)),
    Category("box", _box, FLOOR, ("brown", "beige", "white", "blue", "red"), ("paper",)),
    Category("basket", _basket, FLOOR, ("brown", "beige", "grey", "white"), ("wicker",)),
    Category("trash can", _trash_can, FLOOR, ("grey", "black", "white", "red", "blue"), ("plastic", "metal")),
    Category("backpack", _backpack, FLOOR, ("blue", "red", "green", "black", "purple", "orange"), ("fabric",)),
    Category("shoe", _shoe, FLOOR, ("red", "blue", "black", "white", "brown", "pink"), ("leather", "fabric")),
    Category("candle", _candle, SURFACE, ("white", "red", "purple", "beige", "orange"), ("wax",)),
    Category("kettle", _kettle, SURFACE, ("grey", "red", "white", "teal", "black"), ("metal",)),
    Category("pot", _pot, SURFACE, ("grey", "red", "blue", "black", "orange"), ("metal",)),
    Category("pan", _pan, SURFACE, ("black", "grey", "red", "teal"), ("metal",)),
    Category("toaster", _toaster, SURFACE, ("grey", "red", "white", "teal", "yellow"), ("metal",)),
    Category("microwave", _microwave, SURFACE, ("white", "black", "grey"), ("metal",), 6),
    Category("coffee maker", _coffee_maker, SURFACE, ("black", "red", "white", "grey"), ("plastic",)),
    Category("fruit", _fruit, SURFACE, ("red", "orange", "green", "yellow"), ("skin",)),
    Category("banana", _banana, SURFACE, ("yellow",), ("skin",), 4),
    Category("bread", _bread, SURFACE, ("brown", "orange"), ("skin",), 4),
    Category("towel", _towel, SURFACE, ("blue", "white", "green", "pink", "yellow", "purple"), ("fabric",)),
    Category(
        "soap dispenser", _soap_dispenser, SURFACE, ("white", "green", "blue", "pink", "orange"), ("plastic", "glass")
    ),
    Category("toilet paper", _toilet_paper, SURFACE, ("white",), ("paper",), 3),
    Category("pillow", _pillow, SURFACE, _BRIGHT, ("fabric",)),
    Category("umbrella", _umbrella, FLOOR, ("black", "red", "blue", "yellow", "green"), ("fabric",)),
    Category("guitar", _guitar, FLOOR, ("orange", "brown", "red", "black", "blue"), ("wood",)),
    Category("speaker", _speaker, SURFACE, ("black", "brown", "white"), ("wood", "plastic")),
    Category("toy car", _toy_car, SURFACE, ("red", "blue", "yellow", "green", "orange"), ("plastic",)),
    Category("toy blocks", _toy_blocks, SURFACE, _BRIGHT, ("wood",)),
    Category("globe", _globe, SURFACE, ("blue", "teal", "beige"), ("plastic",), 6),
    Category("photo frame", _photo_frame, SURFACE, ("brown", "black", "white", "yellow"), ("wood", "metal")),
    Category("alarm clock", _alarm_clock, SURFACE, ("red", "black", "white", "teal", "yellow"), ("plastic",)),
    Category("knife block", _knife_block, SURFACE, ("brown", "black", "beige"), ("wood",), 5),
    Category("scale", _scale, FLOOR, ("white", "black", "pink", "teal"), ("plastic", "glass"), 5),
    Category("suitcase", _suitcase, FLOOR, ("red", "blue", "black", "purple", "green", "orange"), ("plastic",)),
    Category("watering can", _watering_can, SURFACE, ("green", "yellow", "grey", "blue"), ("metal", "plastic"), 6),
    Category("pet bowl", _pet_bowl, FLOOR, ("red", "blue", "grey", "pink"), ("ceramic", "metal"), 6),
)
