"""The panel's document: small, whole in itself, and readable in light and in dark."""

from __future__ import annotations

import re

from mcp_convex.panel.document import for_app, for_page, script, style_sheet

_BADGE_TINT = 0.1
_TEXT, _EDGE = 4.5, 3.0
"""The least contrast (WCAG 2.2, 1.4.3 and 1.4.11)."""

Colour = tuple[float, ...]


def test_it_is_small_and_makes_no_html_of_text():
    document = for_app()

    assert 40 * 1024 > len(document.encode())
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b", document)
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", document)


def test_the_page_has_nothing_inline():
    assert not re.search(r"<style|<script[^>]*>[^<]|\son\w+=|\sstyle=", for_page("/panel"))
    assert "http" not in for_page("/panel")


def test_hosts_differ_by_one_part_only():
    parts = {host: script(host).partition("as the panel's host")[0].rpartition("\n")[0] for host in ("app", "page")}

    assert parts["app"] == parts["page"]


def test_whatever_is_written_can_be_read_in_light_and_in_dark():
    for colours in _schemes(style_sheet()):
        card, ground = colours["card"], colours["ground"]
        for name in ("ink", "soft", "act", "bad"):
            assert _contrast(colours[name], card) >= _TEXT <= _contrast(colours[name], ground), name
        for name in ("soft", "good", "bad", "busy"):
            assert _contrast(colours[name], _mixed(colours[name], card)) >= _TEXT, name
        assert _contrast(colours["act-ink"], colours["act"]) >= _TEXT <= _contrast(card, colours["bad"])
        for name in ("edge", "act", "bad"):
            assert _contrast(colours[name], card) >= _EDGE <= _contrast(colours[name], ground), name


def _schemes(style: str) -> tuple[dict[str, Colour], dict[str, Colour]]:
    found = re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", style)
    return {name: _rgb(light) for name, light, _ in found}, {name: _rgb(dark) for name, _, dark in found}


def _rgb(text: str) -> Colour:
    digits = text[1:] if len(text) == 7 else "".join(digit * 2 for digit in text[1:])
    return tuple(int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))


def _mixed(colour: Colour, under: Colour) -> Colour:
    return tuple(_BADGE_TINT * one + (1 - _BADGE_TINT) * other for one, other in zip(colour, under, strict=True))


def _contrast(one: Colour, other: Colour) -> float:
    light, dark = sorted(map(_luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
