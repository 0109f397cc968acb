"""Furniture: one builder a category, sizes in metres, back at -Z and front at +Z, standing on Y = 0."""

from __future__ import annotations

import numpy as np

from sim.houses.assets import FLOOR, WALL, Category, Maker

_WOODS = ("brown", "beige", "white", "black")
_SOFT = ("grey", "blue", "red", "green", "beige", "teal", "orange", "purple")


def _bed(m: Maker) -> None:
    width, length = m.vary(0.95, 1.75), m.uniform(1.95, 2.1)
    frame, cover, sheet, pillow = m.paint("wood", m.choose(_WOODS)), m.main(), m.paint("fabric", "white", "fabric"), 2
    s = m.sculptor
    w, h = width / 2, m.uniform(0.42, 0.52)
    s.box((-w - 0.03, 0.08, 0.0), (w + 0.03, 0.28, length), frame)
    s.box((-w - 0.03, 0.0, -0.06), (w + 0.03, m.uniform(0.8, 1.15), 0.0), frame)
    for x in (-w + 0.05, w - 0.05):
        s.box((x - 0.04, 0.0, length - 0.12), (x + 0.04, 0.08, length - 0.04), frame)
    s.cushion((-w, 0.28, 0.0), (w, h, length - 0.02), sheet)
    s.cushion((-w - 0.02, 0.3, 0.62), (w + 0.02, h + 0.05, length + 0.01), cover, 0.05)
    count = 2 if width > 1.3 else 1
    for i in range(count):
        x = (i - (count - 1) / 2) * width / 2
        s.cushion((x - 0.3, h, 0.08), (x + 0.3, h + 0.13, 0.48), pillow, 0.06)
    m.surface(-w + 0.1, 0.75, w - 0.1, length - 0.15, h + 0.05)


def _nightstand(m: Maker) -> None:
    w, d, h = m.vary(0.38, 0.52), m.uniform(0.34, 0.42), m.uniform(0.45, 0.58)
    body, knob = m.main(), m.paint("metal", "grey")
    s = m.sculptor
    s.box((-w / 2, 0.08, -d / 2), (w / 2, h, d / 2), body)
    m.plinth(w, d, 0.08, body)
    for y in (0.30, h - 0.12):
        s.relief((-w / 2 + 0.02, y - 0.09, d / 2), (w / 2 - 0.02, y + 0.09, d / 2 + 0.012), body)
        s.relief((-0.04, y - 0.012, d / 2 + 0.012), (0.04, y + 0.012, d / 2 + 0.035), knob)
    m.surface(-w / 2 + 0.03, -d / 2 + 0.03, w / 2 - 0.03, d / 2 - 0.03, h)


def _wardrobe(m: Maker) -> None:
    w, d, h = m.vary(0.9, 1.8), m.uniform(0.52, 0.62), m.uniform(1.85, 2.15)
    body, door, handle = m.main(), m.paint(m.material, m.choose((m.colour, "white", "beige"))), m.paint("metal", "grey")
    s = m.sculptor
    s.box((-w / 2, 0.0, -d / 2), (w / 2, h, d / 2), body)
    doors = 2 if w < 1.3 else 3
    for i in range(doors):
        x0, x1 = -w / 2 + i * w / doors + 0.015, -w / 2 + (i + 1) * w / doors - 0.015
        s.relief((x0, 0.09, d / 2), (x1, h - 0.05, d / 2 + 0.02), door)
        hx = x1 - 0.05 if i % 2 == 0 else x0 + 0.05
        s.relief((hx - 0.012, 0.95, d / 2 + 0.02), (hx + 0.012, 1.2, d / 2 + 0.05), handle)


def _dresser(m: Maker) -> None:
    w, d, h = m.vary(0.8, 1.4), m.uniform(0.4, 0.5), m.uniform(0.72, 0.95)
    body, front, knob = m.main(), m.paint(m.material, m.colour), m.paint("metal", "grey")
    s = m.sculptor
    s.box((-w / 2, 0.06, -d / 2), (w / 2, h, d / 2), body)
    s.box((-w / 2 - 0.02, h, -d / 2), (w / 2 + 0.02, h + 0.03, d / 2 + 0.03), body)
    m.plinth(w, d, 0.06, body)
    rows, columns = 3, 2 if w > 1.0 else 1
    for r in range(rows):
        for c in range(columns):
            x0, x1 = -w / 2 + c * w / columns + 0.02, -w / 2 + (c + 1) * w / columns - 0.02
            y0, y1 = 0.08 + r * (h - 0.1) / rows + 0.01, 0.08 + (r + 1) * (h - 0.1) / rows - 0.01
            s.relief((x0, y0, d / 2), (x1, y1, d / 2 + 0.015), front)
            s.relief(
                ((x0 + x1) / 2 - 0.05, (y0 + y1) / 2, d / 2 + 0.015),
                ((x0 + x1) / 2 + 0.05, (y0 + y1) / 2 + 0.02, d / 2 + 0.04),
                knob,
            )
    m.surface(-w / 2 + 0.03, -d / 2 + 0.03, w / 2 - 0.03, d / 2 - 0.02, h + 0.03)


def _desk(m: Maker) -> None:
    w, d, h = m.vary(1.05, 1.6), m.uniform(0.58, 0.72), 0.74
    top, leg = m.main(), m.paint(m.choose(("metal", "wood")), m.choose(("black", "white", "grey")))
    s = m.sculptor
    s.box((-w / 2, h - 0.035, -d / 2), (w / 2, h, d / 2), top, bottom=True)
    if m.chance(0.5):
        s.box((w / 2 - 0.42, 0.05, -d / 2 + 0.03), (w / 2 - 0.02, h - 0.035, d / 2 - 0.04), leg)
        for y in (0.2, 0.42, 0.62):
            s.box((w / 2 - 0.39, y - 0.08, d / 2 - 0.04), (w / 2 - 0.05, y + 0.07, d / 2 - 0.025), top)
    m.legs(w, d, h - 0.035, leg, 0.045)
    m.surface(-w / 2 + 0.04, -d / 2 + 0.04, w / 2 - 0.04, d / 2 - 0.04, h)


def _chair(m: Maker) -> None:
    kind = m.choose(("dining", "dining", "slatted", "office"))
    s = m.sculptor
    seat, frame = m.main(), m.paint(m.choose(("wood", "metal")), m.choose(_WOODS))
    w = m.vary(0.38, 0.48)
    h = m.uniform(0.44, 0.48)
    if kind == "office":
        s.cylinder((0, 0.10, 0), 0.03, h - 0.15, frame, 6)
        for i in range(5):
            a = 2 * np.pi * i / 5
            s.rod((0, 0.1, 0), (0.26 * np.sin(a), 0.06, 0.26 * np.cos(a)), 0.025, frame)
            s.ball((0.26 * np.sin(a), 0.03, 0.26 * np.cos(a)), (0.03, 0.03, 0.03), frame, 5, 3)
        s.cushion((-w / 2 - 0.03, h - 0.06, -w / 2), (w / 2 + 0.03, h + 0.02, w / 2), seat)
        s.box((-0.03, h - 0.05, -w / 2 - 0.04), (0.03, h + 0.3, -w / 2), frame)
        s.cushion((-w / 2, h + 0.15, -w / 2 - 0.03), (w / 2, h + 0.6, -w / 2 + 0.04), seat, 0.03)
        return
    m.legs(w, w, h - 0.03, frame, 0.04, 0.0)
    s.cushion((-w / 2, h - 0.03, -w / 2), (w / 2, h + (0.04 if kind == "dining" else 0.0), w / 2), seat, 0.02)
    top = m.uniform(0.85, 1.0)
    if kind == "dining":
        s.box((-w / 2, h, -w / 2 - 0.01), (w / 2, top, -w / 2 + 0.035), seat)
    else:
        for x in (-w / 2, w / 2 - 0.04):
            s.box((x, h, -w / 2), (x + 0.04, top, -w / 2 + 0.04), frame)
        for y in (h + 0.16, h + 0.3, top - 0.08):
            s.box((-w / 2 + 0.04, y, -w / 2 + 0.005), (w / 2 - 0.04, y + 0.06, -w / 2 + 0.03), seat, bottom=True)


def _stool(m: Maker) -> None:
    h, r = m.vary(0.42, 0.68), m.uniform(0.15, 0.19)
    seat, leg = m.main(), m.paint(m.choose(("wood", "metal")), m.choose(_WOODS))
    s = m.sculptor
    s.lathe([(r, h - 0.05), (r, h)], seat, sides=9)
    for i in range(4):
        a = np.pi / 4 + np.pi / 2 * i
        s.rod((r * np.sin(a), 0.0, r * np.cos(a)), (0.7 * r * np.sin(a), h - 0.04, 0.7 * r * np.cos(a)), 0.018, leg, 3)


def _armchair(m: Maker) -> None:
    w, d = m.vary(0.72, 0.92), m.uniform(0.72, 0.82)
    _upholstered(m, w, d, 1)


def _sofa(m: Maker) -> None:
    w, d = m.vary(1.5, 2.3), m.uniform(0.8, 0.92)
    _upholstered(m, w, d, 2 if w < 1.9 else 3)


def _upholstered(m: Maker, w: float, d: float, seats: int) -> None:
    body, leg = m.main(), m.paint("wood", "black")
    cushion = body if m.chance(0.7) else m.paint(m.material, m.choose(_SOFT))
    s = m.sculptor
    arm, seat_h, back_h = m.uniform(0.13, 0.2), 0.42, m.uniform(0.75, 0.9)
    m.plinth(w, d, 0.1, leg)
    s.box((-w / 2, 0.1, -d / 2), (w / 2, 0.28, d / 2 - 0.02), body)
    s.cushion((-w / 2, 0.28, -d / 2), (w / 2, back_h, -d / 2 + 0.2), body, 0.06)
    for x in (-w / 2, w / 2 - arm):
        s.cushion((x, 0.1, -d / 2 + 0.02), (x + arm, m.uniform(0.56, 0.62), d / 2), body, 0.05)
    inner = w - 2 * arm
    for i in range(seats):
        x0, x1 = -inner / 2 + i * inner / seats + 0.01, -inner / 2 + (i + 1) * inner / seats - 0.01
        s.cushion((x0, 0.28, -d / 2 + 0.16), (x1, seat_h + 0.04, d / 2 + 0.01), cushion, 0.05)
        s.cushion((x0 + 0.02, seat_h + 0.04, -d / 2 + 0.17), (x1 - 0.02, back_h - 0.04, -d / 2 + 0.32), cushion, 0.05)
    m.surface(-inner / 2 + 0.05, -d / 2 + 0.36, inner / 2 - 0.05, d / 2 - 0.08, seat_h + 0.04)


def _coffee_table(m: Maker) -> None:
    w, d, h = m.vary(0.75, 1.2), m.uniform(0.5, 0.65), m.uniform(0.36, 0.46)
    top, leg = m.main(), m.paint(m.choose(("wood", "metal")), m.choose(_WOODS))
    s = m.sculptor
    if m.chance(0.3):
        s.lathe([(d * 0.62, h - 0.035), (d * 0.62, h)], top, sides=10)
        s.cylinder((0, 0.03, 0), 0.05, h - 0.06, leg)
        s.cylinder((0, 0, 0), d * 0.35, 0.03, leg, 10)
        reach = d * 0.62 * 0.66
        m.surface(-reach, -reach, reach, reach, h)
        return
    s.box((-w / 2, h - 0.04, -d / 2), (w / 2, h, d / 2), top, bottom=True)
    m.legs(w, d, h - 0.04, leg, 0.05)
    if m.chance(0.5):
        s.box((-w / 2 + 0.05, 0.12, -d / 2 + 0.05), (w / 2 - 0.05, 0.14, d / 2 - 0.05), top, bottom=True)
    m.surface(-w / 2 + 0.05, -d / 2 + 0.05, w / 2 - 0.05, d / 2 - 0.05, h)


def _side_table(m: Maker) -> None:
    r, h = m.vary(0.2, 0.28), m.uniform(0.48, 0.6)
    top, leg = m.main(), m.paint("metal", m.choose(("black", "grey")))
    s = m.sculptor
    s.lathe([(r, h - 0.03), (r, h)], top, sides=9)
    for i in range(3):
        a = 2 * np.pi * i / 3
        s.rod(
            (r * 0.9 * np.sin(a), 0, r * 0.9 * np.cos(a)),
            (r * 0.4 * np.sin(a), h - 0.03, r * 0.4 * np.cos(a)),
            0.014,
            leg,
            4,
        )
    m.surface(-r * 0.68, -r * 0.68, r * 0.68, r * 0.68, h)


def _tv_stand(m: Maker) -> None:
    w, d, h = m.vary(1.1, 1.8), m.uniform(0.36, 0.45), m.uniform(0.42, 0.55)
    body, inside = m.main(), m.paint("plastic", "black")
    s = m.sculptor
    s.box((-w / 2, 0.06, -d / 2), (w / 2, h, d / 2), body)
    m.plinth(w, d, 0.06, body)
    for i in range(3):
        x0, x1 = -w / 2 + i * w / 3 + 0.02, -w / 2 + (i + 1) * w / 3 - 0.02
        s.relief((x0, 0.1, d / 2), (x1, h - 0.04, d / 2 + 0.01), inside if i == 1 else body)
    m.surface(-w / 2 + 0.04, -d / 2 + 0.03, w / 2 - 0.04, d / 2 - 0.03, h)


def _bookshelf(m: Maker) -> None:
    w, d, h = m.vary(0.7, 1.2), m.uniform(0.26, 0.34), m.uniform(1.5, 2.0)
    body, books, more = m.main(), m.paint("paper", "red", "books"), m.paint("paper", "blue", "books")
    s = m.sculptor
    t = 0.025
    s.box((-w / 2, 0, -d / 2), (w / 2, h, -d / 2 + 0.015), body)
    for x in (-w / 2, w / 2 - t):
        s.box((x, 0, -d / 2), (x + t, h, d / 2), body)
    s.relief((-w / 2 + t, h - t, -d / 2), (w / 2 - t, h, d / 2), body)
    shelves = int(h / 0.36)
    gap = (h - t) / shelves - t
    z = d / 2 - 0.06
    for i in range(shelves):
        y = i * (h - t) / shelves
        s.relief((-w / 2 + t, y, -d / 2), (w / 2 - t, y + t, d / 2), body)
        y += t
        fill = m.uniform(0.4, 0.95) * (w - 2 * t)
        x0 = -w / 2 + t if m.chance(0.5) else w / 2 - t - fill
        x1 = x0 + fill
        swatch = books if i % 2 else more
        s.panel((x0, y, z), (x1, y, z), (x1, y + gap * 0.85, z), (x0, y + gap * 0.85, z), swatch)
        top = y + gap * 0.7
        s.quad((x0, top, z), (x1, top, z), (x1, top, -d / 2), (x0, top, -d / 2), body)
    m.surface(-w / 2 + 0.05, -d / 2 + 0.04, w / 2 - 0.05, d / 2 - 0.03, h, 0.4)


def _cabinet(m: Maker) -> None:
    w, d, h = m.vary(0.7, 1.3), m.uniform(0.36, 0.46), m.uniform(0.8, 1.25)
    body, door, handle = m.main(), m.paint(m.material, m.colour), m.paint("metal", "yellow")
    s = m.sculptor
    s.box((-w / 2, 0.05, -d / 2), (w / 2, h, d / 2), body)
    m.plinth(w, d, 0.05, body)
    for i in range(2):
        x0, x1 = -w / 2 + i * w / 2 + 0.02, -w / 2 + (i + 1) * w / 2 - 0.02
        s.relief((x0, 0.09, d / 2), (x1, h - 0.04, d / 2 + 0.016), door)
        hx = x1 - 0.05 if i == 0 else x0 + 0.05
        s.relief((hx - 0.012, h * 0.5, d / 2 + 0.016), (hx + 0.012, h * 0.5 + 0.12, d / 2 + 0.04), handle)
    m.surface(-w / 2 + 0.04, -d / 2 + 0.03, w / 2 - 0.04, d / 2 - 0.03, h)


def _dining_table(m: Maker) -> None:
    w, d, h = m.vary(1.2, 1.9), m.uniform(0.8, 0.95), 0.75
    top, leg = m.main(), m.paint("wood", m.choose(_WOODS))
    s = m.sculptor
    s.box((-w / 2, h - 0.04, -d / 2), (w / 2, h, d / 2), top, bottom=True)
    s.box((-w / 2 + 0.08, h - 0.11, -d / 2 + 0.08), (w / 2 - 0.08, h - 0.04, d / 2 - 0.08), leg)
    m.legs(w, d, h - 0.04, leg, 0.07, 0.05)
    m.surface(-w / 2 + 0.08, -d / 2 + 0.08, w / 2 - 0.08, d / 2 - 0.08, h)


def _counter(m: Maker) -> None:
    w, d, h = m.vary(0.9, 1.9), 0.6, 0.9
    body, top, handle = (
        m.main(),
        m.paint("stone", m.choose(("grey", "black", "white", "beige"))),
        m.paint("metal", "grey"),
    )
    s = m.sculptor
    s.box((-w / 2, 0.0, -d / 2), (w / 2, 0.1, d / 2 - 0.06), handle)
    s.box((-w / 2, 0.1, -d / 2), (w / 2, h - 0.04, d / 2 - 0.02), body)
    s.box((-w / 2, h - 0.04, -d / 2), (w / 2, h, d / 2), top)
    count = max(2, round(w / 0.5))
    for i in range(count):
        x0, x1 = -w / 2 + i * w / count + 0.01, -w / 2 + (i + 1) * w / count - 0.01
        s.relief((x0, 0.12, d / 2 - 0.02), (x1, h - 0.06, d / 2 - 0.005), body)
        s.relief((x0 + 0.08, h - 0.14, d / 2 - 0.005), (x1 - 0.08, h - 0.12, d / 2 + 0.02), handle)
    m.surface(-w / 2 + 0.04, -d / 2 + 0.06, w / 2 - 0.04, d / 2 - 0.06, h, 0.5)


def _kitchen_sink(m: Maker) -> None:
    w, d, h = m.vary(0.6, 0.9), 0.6, 0.9
    body, steel, top = m.main(), m.paint("metal", "grey"), m.paint("stone", m.choose(("grey", "black", "white")))
    s = m.sculptor
    s.box((-w / 2, 0.0, -d / 2), (w / 2, h - 0.04, d / 2 - 0.02), body)
    bowl_x, z0, z1 = w / 2 - 0.08, -d / 2 + 0.14, d / 2 - 0.08
    s.box((-w / 2, h - 0.04, -d / 2), (-bowl_x, h, d / 2), top)
    s.box((bowl_x, h - 0.04, -d / 2), (w / 2, h, d / 2), top)
    s.box((-bowl_x, h - 0.04, -d / 2), (bowl_x, h, z0), top)
    s.box((-bowl_x, h - 0.04, z1), (bowl_x, h, d / 2), top)
    s.quad((-bowl_x, h - 0.035, z1), (bowl_x, h - 0.035, z1), (bowl_x, h - 0.035, z0), (-bowl_x, h - 0.035, z0), steel)
    s.rod((0, h, z0 - 0.05), (0, h + 0.28, z0 - 0.05), 0.016, steel, 6)
    s.rod((0, h + 0.27, z0 - 0.05), (0, h + 0.24, z0 + 0.14), 0.014, steel, 6)


def _stove(m: Maker) -> None:
    w, d, h = m.vary(0.55, 0.7), 0.6, 0.9
    body, dark, plate, knob = (
        m.main(),
        m.paint("glass", "black"),
        m.paint("plastic", "black", "burners"),
        m.paint("metal", "grey"),
    )
    s = m.sculptor
    s.box((-w / 2, 0.0, -d / 2), (w / 2, h, d / 2), body)
    s.panel(
        (-w / 2 + 0.02, h + 0.004, d / 2 - 0.03),
        (w / 2 - 0.02, h + 0.004, d / 2 - 0.03),
        (w / 2 - 0.02, h + 0.004, -d / 2 + 0.03),
        (-w / 2 + 0.02, h + 0.004, -d / 2 + 0.03),
        swatch=plate,
    )
    s.relief((-w / 2 + 0.05, 0.2, d / 2), (w / 2 - 0.05, 0.62, d / 2 + 0.012), dark)
    s.relief((-w / 2 + 0.05, 0.66, d / 2 + 0.01), (w / 2 - 0.05, 0.69, d / 2 + 0.05), knob)
    for i in range(4):
        x = -w / 2 + (i + 1) * w / 5
        s.relief((x - 0.025, 0.77, d / 2), (x + 0.025, 0.82, d / 2 + 0.03), knob)
    m.surface(-w / 2 + 0.06, -d / 2 + 0.08, w / 2 - 0.06, d / 2 - 0.08, h + 0.004, 0.6)


def _refrigerator(m: Maker) -> None:
    w, d, h = m.vary(0.58, 0.85), m.uniform(0.6, 0.7), m.uniform(1.5, 1.9)
    body, handle, seam = m.main(), m.paint("metal", "grey"), m.paint("plastic", "black")
    s = m.sculptor
    split = h * m.uniform(0.6, 0.7)
    s.cushion((-w / 2, 0.0, -d / 2), (w / 2, h, d / 2), body, 0.02)
    for y0, y1 in ((0.06, split - 0.01), (split + 0.01, h - 0.03)):
        s.box((-w / 2 + 0.005, y0, d / 2), (w / 2 - 0.005, y1, d / 2 + 0.05), body)
        s.relief(
            (-w / 2 + 0.05, (y0 + y1) / 2 - 0.15, d / 2 + 0.05),
            (-w / 2 + 0.08, (y0 + y1) / 2 + 0.15, d / 2 + 0.09),
            handle,
        )
    s.relief((-w / 2 + 0.005, split - 0.01, d / 2), (w / 2 - 0.005, split + 0.01, d / 2 + 0.03), seam)


def _washing_machine(m: Maker) -> None:
    w, d, h = m.vary(0.56, 0.64), 0.58, 0.86
    body, dark, rim = m.main(), m.paint("glass", "black"), m.paint("metal", "grey")
    s = m.sculptor
    s.cushion((-w / 2, 0, -d / 2), (w / 2, h, d / 2), body, 0.02)
    s.disc((0, 0.42, d / 2 + 0.004), 0.21, (0, 0, 1), rim, 14)
    s.disc((0, 0.42, d / 2 + 0.012), 0.16, (0, 0, 1), dark, 14)
    s.relief((-w / 2 + 0.04, h - 0.14, d / 2), (w / 2 - 0.04, h - 0.04, d / 2 + 0.012), rim)
    m.surface(-w / 2 + 0.06, -d / 2 + 0.06, w / 2 - 0.06, d / 2 - 0.06, h)


def _toilet(m: Maker) -> None:
    k = m.vary(0.93, 1.07)
    body, seat = m.main("gloss"), m.paint("plastic", m.choose(("white", "white", "black", "brown")))
    s = m.sculptor
    s.lathe([(0.13, 0.0), (0.11, 0.15), (0.19, 0.36), (0.2, 0.40)], body, (0, 0, 0.06), 8, stretch_z=1.25)
    s.lathe([(0.21, 0.40), (0.21, 0.43), (0.19, 0.44)], seat, (0, 0, 0.07), 8, stretch_z=1.2)
    s.box((-0.11, 0.0, -0.34), (0.11, 0.38, -0.05), body)
    s.cushion((-0.21, 0.38, -0.36), (0.21, 0.8, -0.17), body, 0.03)
    s.box((-0.03, 0.8, -0.29), (0.03, 0.815, -0.24), seat)
    s.scale(k)
    m.surface(-0.16 * k, -0.34 * k, 0.16 * k, -0.19 * k, 0.8 * k, 0.4)


def _bathtub(m: Maker) -> None:
    w, d, h = m.vary(1.45, 1.75), m.uniform(0.68, 0.78), 0.55
    body, water, tap = m.main("gloss"), m.paint("glass", m.choose(("teal", "white"))), m.paint("metal", "grey")
    s = m.sculptor
    r = 0.08
    s.box((-w / 2, 0, -d / 2), (w / 2, h, -d / 2 + r), body)
    s.box((-w / 2, 0, d / 2 - r), (w / 2, h, d / 2), body)
    s.box((-w / 2, 0, -d / 2 + r), (-w / 2 + r, h, d / 2 - r), body)
    s.box((w / 2 - r * 1.5, 0, -d / 2 + r), (w / 2, h, d / 2 - r), body)
    y = 0.3
    s.quad(
        (-w / 2 + r, y, d / 2 - r),
        (w / 2 - r, y, d / 2 - r),
        (w / 2 - r, y, -d / 2 + r),
        (-w / 2 + r, y, -d / 2 + r),
        water,
    )
    s.rod((w / 2 - 0.06, h, 0), (w / 2 - 0.06, h + 0.15, 0), 0.018, tap)
    s.rod((w / 2 - 0.06, h + 0.14, 0), (w / 2 - 0.2, h + 0.12, 0), 0.016, tap)


def _shower(m: Maker) -> None:
    w = m.vary(0.8, 0.98)
    tray, rail, glass = m.paint("ceramic", "white", "gloss"), m.paint("metal", "grey"), m.main()
    s = m.sculptor
    s.box((-w / 2, 0, -w / 2), (w / 2, 0.22, w / 2), tray)
    s.box((-w / 2, 0.22, -w / 2), (w / 2, 2.0, -w / 2 + 0.02), glass)
    s.box((-w / 2, 0.22, -w / 2 + 0.02), (-w / 2 + 0.02, 2.0, w / 2), glass)
    for x, z in ((w / 2 - 0.03, w / 2 - 0.03), (-w / 2, w / 2 - 0.03), (w / 2 - 0.03, -w / 2)):
        s.box((x, 0.22, z), (x + 0.03, 2.0, z + 0.03), rail)
    s.box((-w / 2, 1.97, w / 2 - 0.03), (w / 2, 2.0, w / 2), rail, bottom=True)
    s.box((w / 2 - 0.03, 1.97, -w / 2), (w / 2, 2.0, w / 2), rail, bottom=True)
    s.rod((0, 1.0, -w / 2 + 0.05), (0, 1.95, -w / 2 + 0.05), 0.015, rail)
    s.lathe([(0.02, 0.0), (0.09, -0.03)][::-1], rail, (0, 1.95, -w / 2 + 0.14), 10)


def _washbasin(m: Maker) -> None:
    w, d, h = m.vary(0.5, 0.8), m.uniform(0.42, 0.5), 0.82
    basin, cabinet, tap = m.main("gloss"), m.paint("wood", m.choose(_WOODS)), m.paint("metal", "grey")
    s = m.sculptor
    if m.chance(0.6):
        s.box((-w / 2 + 0.02, 0.08, -d / 2), (w / 2 - 0.02, h - 0.1, d / 2 - 0.04), cabinet)
    else:
        s.lathe([(0.11, 0), (0.08, 0.3), (0.1, h - 0.1)], basin, (0, 0, -0.04))
    s.box((-w / 2, h - 0.1, -d / 2), (w / 2, h - 0.03, d / 2), basin, bottom=True)
    for x0, x1, z0, z1 in (
        (-w / 2, -w / 2 + 0.06, -d / 2, d / 2),
        (w / 2 - 0.06, w / 2, -d / 2, d / 2),
        (-w / 2 + 0.06, w / 2 - 0.06, -d / 2, -d / 2 + 0.12),
        (-w / 2 + 0.06, w / 2 - 0.06, d / 2 - 0.05, d / 2),
    ):
        s.box((x0, h - 0.03, z0), (x1, h, z1), basin)
    s.rod((0, h, -d / 2 + 0.06), (0, h + 0.14, -d / 2 + 0.06), 0.016, tap)
    s.rod((0, h + 0.13, -d / 2 + 0.06), (0, h + 0.1, -d / 2 + 0.2), 0.014, tap)
    m.surface(-w / 2 + 0.01, -d / 2 + 0.01, -w / 2 + 0.15, -d / 2 + 0.13, h, 0.35)
    m.surface(w / 2 - 0.15, -d / 2 + 0.01, w / 2 - 0.01, -d / 2 + 0.13, h, 0.35)


def _bench(m: Maker) -> None:
    w, d, h = m.vary(0.9, 1.4), m.uniform(0.33, 0.42), m.uniform(0.42, 0.48)
    top, leg = m.main(), m.paint("wood", m.choose(_WOODS))
    m.sculptor.cushion((-w / 2, h - 0.07, -d / 2), (w / 2, h, d / 2), top, 0.03)
    m.legs(w, d, h - 0.07, leg, 0.05)
    m.surface(-w / 2 + 0.06, -d / 2 + 0.04, w / 2 - 0.06, d / 2 - 0.04, h)


def _shoe_rack(m: Maker) -> None:
    w, d, h = m.vary(0.6, 0.95), 0.3, m.uniform(0.45, 0.65)
    body, shoe, other = m.main(), m.paint("leather", "brown"), m.paint("leather", m.choose(("red", "blue", "black")))
    s = m.sculptor
    for x in (-w / 2, w / 2 - 0.03):
        s.box((x, 0, -d / 2), (x + 0.03, h, d / 2), body)
    for y in (0.1, h / 2 + 0.02, h - 0.025):
        s.box((-w / 2, y, -d / 2), (w / 2, y + 0.025, d / 2), body, bottom=True)
    for y in (0.125, h / 2 + 0.045):
        for i in range(int(w / 0.24)):
            x = -w / 2 + 0.14 + i * 0.24
            s.box((x - 0.08, y, -0.12), (x + 0.08, y + 0.09, 0.12), shoe if (i + int(y * 10)) % 2 else other)
    m.surface(-w / 2 + 0.04, -d / 2 + 0.03, w / 2 - 0.04, d / 2 - 0.03, h)


def _coat_rack(m: Maker) -> None:
    h = m.vary(1.6, 1.85)
    wood, coat = m.main(), m.paint("fabric", m.choose(_SOFT), "fabric")
    s = m.sculptor
    s.cylinder((0, 0, 0), 0.2, 0.03, wood, 10)
    s.cylinder((0, 0.03, 0), 0.025, h - 0.03, wood, 6)
    for i in range(4):
        a = np.pi / 2 * i + 0.4
        s.rod((0, h - 0.16, 0), (0.16 * np.sin(a), h - 0.04, 0.16 * np.cos(a)), 0.014, wood, 4)
    s.lathe([(0.16, h - 0.95), (0.15, h - 0.3), (0.05, h - 0.12)], coat, (0.1, 0, 0.06), 8, 0.6)


def _floor_lamp(m: Maker) -> None:
    h = m.vary(1.35, 1.7)
    pole, lampshade = m.paint("metal", m.choose(("black", "grey", "yellow"))), m.main()
    s = m.sculptor
    s.cylinder((0, 0, 0), 0.15, 0.03, pole, 10)
    s.cylinder((0, 0.03, 0), 0.015, h - 0.2, pole, 5)
    s.lathe([(0.2, h - 0.3), (m.uniform(0.1, 0.18), h)], lampshade, sides=10)


def _plant(m: Maker) -> None:
    h = m.vary(0.5, 1.3)
    pot_r = m.uniform(0.12, 0.18)
    pot, leaf, soil = (
        m.paint(m.choose(("ceramic", "wicker")), m.choose(("white", "orange", "grey", "teal", "brown"))),
        m.main(),
        m.paint("wood", "brown", "fur"),
    )
    s = m.sculptor
    pot_h = m.uniform(0.22, 0.32)
    s.lathe([(pot_r * 0.75, 0), (pot_r, pot_h)], pot, sides=10)
    s.disc((0, pot_h - 0.02, 0), pot_r * 0.95, (0, 1, 0), soil, 8)
    kind = m.choose(("bush", "palm", "tree"))
    if kind == "bush":
        s.cylinder((0, pot_h - 0.02, 0), 0.02, (h - pot_h) * 0.5, soil, 4)
        for i in range(4):
            a, r = 2 * np.pi * i / 4 + m.uniform(0, 1), m.uniform(0.05, 0.13)
            y = pot_h + (h - pot_h) * m.uniform(0.35, 0.8)
            s.ball((r * np.sin(a), y, r * np.cos(a)), (0.16, (h - pot_h) * 0.3, 0.16), leaf, 6, 3)
    elif kind == "palm":
        for i in range(7):
            a = 2 * np.pi * i / 7 + m.uniform(-0.2, 0.2)
            _leaf(m, a, pot_h, h * m.uniform(0.8, 1.0), m.uniform(0.2, 0.34), leaf)
    else:
        s.cylinder((0, pot_h - 0.02, 0), 0.025, (h - pot_h) * 0.6, soil, 5, 0.018)
        for _ in range(3):
            s.ball((m.uniform(-0.1, 0.1), h - m.uniform(0.15, 0.3), m.uniform(-0.1, 0.1)), (0.2, 0.17, 0.2), leaf, 6, 3)


def _leaf(m: Maker, angle: float, bottom: float, top: float, reach: float, swatch: int) -> None:
    """A pointed leaf, visible from both sides."""
    out = np.array([np.sin(angle), 0.0, np.cos(angle)])
    side = np.array([np.cos(angle), 0.0, -np.sin(angle)]) * 0.06
    root, middle, tip = (
        np.array([0, bottom, 0]) + out * 0.02,
        out * reach * 0.7 + [0, top, 0],
        out * reach * 1.25 + [0, top * 0.82, 0],
    )
    for a, b, wa, wb in ((root, middle, 0.3, 1.0), (middle, tip, 1.0, 0.05)):
        corners = (a - side * wa, a + side * wa, b + side * wb, b - side * wb)
        m.sculptor.quad(*corners, swatch=swatch)
        m.sculptor.quad(*corners[::-1], swatch=swatch)


def _rug(m: Maker) -> None:
    w, d = m.vary(1.1, 2.0), m.uniform(0.8, 1.3)
    middle, edge = (
        m.main(m.choose(("stripes", "checks", "dots", "fabric"))),
        m.paint("fabric", m.choose(_SOFT), "fabric"),
    )
    s = m.sculptor
    s.box((-w / 2, 0, -d / 2), (w / 2, 0.008, d / 2), edge)
    s.metres_per_swatch = 0.8
    s.panel(
        (-w / 2 + 0.07, 0.011, d / 2 - 0.07),
        (w / 2 - 0.07, 0.011, d / 2 - 0.07),
        (w / 2 - 0.07, 0.011, -d / 2 + 0.07),
        (-w / 2 + 0.07, 0.011, -d / 2 + 0.07),
        swatch=middle,
    )


def _piano(m: Maker) -> None:
    w, d, h = m.vary(1.35, 1.5), 0.58, m.uniform(1.0, 1.2)
    body, keys, black = m.main("gloss"), m.paint("plastic", "white"), m.paint("plastic", "black")
    s = m.sculptor
    s.box((-w / 2, 0.0, -d / 2), (w / 2, h, 0.0), body)
    s.box((-w / 2, 0.6, 0.0), (w / 2, 0.68, d / 2), body, bottom=True)
    s.box((-w / 2 + 0.06, 0.68, 0.06), (w / 2 - 0.06, 0.7, d / 2 - 0.03), keys)
    for i in range(14):
        x = -w / 2 + 0.1 + i * (w - 0.2) / 14
        s.box((x, 0.7, 0.06), (x + 0.04, 0.71, d / 2 - 0.12), black)
    for x in (-w / 2, w / 2 - 0.06):
        s.box((x, 0, d / 2 - 0.08), (x + 0.06, 0.6, d / 2 - 0.02), body)
    m.surface(-w / 2 + 0.06, -d / 2 + 0.04, w / 2 - 0.06, -0.05, h, 0.5)


def _mirror(m: Maker) -> None:
    w, h = m.uniform(0.45, 0.8), m.vary(0.6, 1.2)
    frame, glass = m.main(), m.paint("glass", "teal", "gloss")
    s = m.sculptor
    s.box((-w / 2, 0, 0), (w / 2, h, 0.025), frame, bottom=True)
    s.panel(
        (-w / 2 + 0.04, 0.04, 0.028),
        (w / 2 - 0.04, 0.04, 0.028),
        (w / 2 - 0.04, h - 0.04, 0.028),
        (-w / 2 + 0.04, h - 0.04, 0.028),
        swatch=glass,
    )


def _picture(m: Maker) -> None:
    w, h = m.vary(0.4, 1.0), m.uniform(0.4, 0.7)
    frame, art = m.main(), m.paint("paper", "white", "painting")
    s = m.sculptor
    s.box((-w / 2, 0, 0), (w / 2, h, 0.025), frame, bottom=True)
    s.panel(
        (-w / 2 + 0.03, 0.03, 0.028),
        (w / 2 - 0.03, 0.03, 0.028),
        (w / 2 - 0.03, h - 0.03, 0.028),
        (-w / 2 + 0.03, h - 0.03, 0.028),
        swatch=art,
    )


def _clock(m: Maker) -> None:
    r = m.vary(0.14, 0.22)
    rim, face = m.main("plain"), m.paint("plastic", m.choose(("white", "black")), "dial")
    s = m.sculptor
    s.drum((0, 0, 0), r, 0.035, rim)
    s.disc((0, 0, 0.037), r * 0.88, (0, 0, 1), face, 10)


def _wall_shelf(m: Maker) -> None:
    w, d = m.vary(0.6, 1.0), 0.2
    wood, metal = m.main(), m.paint("metal", "black")
    s = m.sculptor
    s.box((-w / 2, 0.06, 0), (w / 2, 0.09, d), wood, bottom=True)
    for x in (-w / 2 + 0.08, w / 2 - 0.11):
        s.box((x, 0, 0), (x + 0.03, 0.06, d * 0.7), metal, bottom=True)
    m.surface(-w / 2 + 0.03, 0.03, w / 2 - 0.03, d - 0.02, 0.09, 0.4)


FURNITURE = (
    Category("bed", _bed, FLOOR, ("blue", "grey", "red", "green", "beige", "purple", "white", "pink"), ("fabric",)),
    Category("nightstand", _nightstand, FLOOR, _WOODS, ("wood",)),
    Category("wardrobe", _wardrobe, FLOOR, _WOODS, ("wood",)),
    Category("dresser", _dresser, FLOOR, ("brown", "white", "beige", "teal"), ("wood",)),
    Category("desk", _desk, FLOOR, _WOODS, ("wood",)),
    Category(
        "chair",
        _chair,
        FLOOR,
        ("brown", "red", "grey", "white", "blue", "green", "black", "yellow"),
        ("wood", "fabric", "plastic", "leather"),
        12,
    ),
    Category("stool", _stool, FLOOR, ("brown", "black", "white", "red"), ("wood", "plastic", "leather")),
    Category("armchair", _armchair, FLOOR, _SOFT, ("fabric", "leather")),
    Category(
        "sofa", _sofa, FLOOR, ("grey", "blue", "brown", "green", "beige", "red", "teal", "black"), ("fabric", "leather")
    ),
    Category("coffee table", _coffee_table, FLOOR, _WOODS, ("wood", "stone")),
    Category("side table", _side_table, FLOOR, ("white", "brown", "black", "yellow"), ("wood", "metal", "stone")),
    Category("tv stand", _tv_stand, FLOOR, _WOODS, ("wood",)),
    Category("bookshelf", _bookshelf, FLOOR, _WOODS, ("wood",)),
    Category("cabinet", _cabinet, FLOOR, ("brown", "white", "green", "blue", "beige"), ("wood",)),
    Category("dining table", _dining_table, FLOOR, _WOODS, ("wood",)),
    Category("counter", _counter, FLOOR, ("white", "brown", "grey", "blue", "green"), ("wood",)),
    Category("kitchen sink", _kitchen_sink, FLOOR, ("white", "brown", "grey"), ("wood",)),
    Category("stove", _stove, FLOOR, ("white", "black", "grey", "red"), ("metal",)),
    Category("refrigerator", _refrigerator, FLOOR, ("white", "grey", "black", "red", "teal"), ("metal",)),
    Category("washing machine", _washing_machine, FLOOR, ("white", "grey", "black"), ("metal",)),
    Category("toilet", _toilet, FLOOR, ("white", "white", "grey", "pink", "black"), ("ceramic",)),
    Category("bathtub", _bathtub, FLOOR, ("white", "white", "pink", "teal"), ("ceramic",)),
    Category("shower", _shower, FLOOR, ("teal", "white", "grey"), ("glass",)),
    Category("washbasin", _washbasin, FLOOR, ("white", "white", "beige", "grey"), ("ceramic",)),
    Category("bench", _bench, FLOOR, ("brown", "grey", "red", "beige"), ("wood", "fabric", "leather")),
    Category("shoe rack", _shoe_rack, FLOOR, _WOODS, ("wood",)),
    Category("coat rack", _coat_rack, FLOOR, ("brown", "black", "white"), ("wood",)),
    Category("floor lamp", _floor_lamp, FLOOR, ("beige", "white", "yellow", "orange", "teal"), ("fabric",)),
    Category("plant", _plant, FLOOR, ("green",), ("leaf",), 12),
    Category("rug", _rug, FLOOR, _SOFT, ("fabric",), 12),
    Category("piano", _piano, FLOOR, ("black", "brown", "white"), ("wood",)),
    Category("mirror", _mirror, WALL, ("brown", "white", "black", "yellow"), ("wood", "metal")),
    Category("picture", _picture, WALL, ("brown", "black", "white", "yellow"), ("wood",), 16),
    Category("clock", _clock, WALL, ("black", "white", "red", "blue", "brown"), ("plastic", "wood")),
    Category("wall shelf", _wall_shelf, WALL, _WOODS, ("wood",)),
)
