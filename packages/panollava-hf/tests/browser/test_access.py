"""Keyboard, screen readers, small screens, dark mode."""

import pytest
from page import between, words
from panollava_hf.demo._names import ELEMENTS


def test_every_control_has_a_name_for_screen_readers(page, scenes):
    page.load()
    assert page.without_name() == []
    asked = scenes["purple-sphere"]
    page.upload(asked.path)
    page.ask(asked.question)
    assert page.without_name() == []


def test_the_page_has_a_language_a_title_and_one_first_heading(page):
    page.load()
    assert page.page.title()
    assert page.page.locator("html").get_attribute("lang") == "en"
    assert page.page.locator("h1:visible").count() == 1


def test_nothing_is_wider_than_the_screen(page, scenes):
    asked = scenes["purple-sphere"]
    page.load().upload(asked.path)
    page.ask(asked.question)
    assert page.page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_the_page_works_with_the_keyboard_alone(page, scenes):
    asked = scenes["green-cube"]
    page.load().upload(asked.path)
    page.element("viewer").locator(".panorama-stage").focus()
    before = page.yaw()
    page.page.keyboard.down("ArrowRight")
    page.page.wait_for_function("before => Math.abs(panollavaViewer.yaw() - before) > 3", arg=before)
    page.page.keyboard.up("ArrowRight")
    page.wait_until_still()
    assert (page.yaw() - before) % 360 < 180, "to the right"

    page.element("question").locator("textarea, input").first.focus()
    page.page.keyboard.type(asked.question)
    page.page.keyboard.press("Enter")
    page.answers().first.wait_for()
    page.wait_until_idle()
    assert words(page.answers().first.inner_text())[:2] == asked.answer.split()

    page.look_at(120.0, 0.0, 90.0)
    page.page.locator("[data-kind=spot]").first.focus()
    page.page.keyboard.press("Enter")
    page.wait_until_still()
    assert between(page.yaw(), asked.scene.objects[0].yaw_deg) < 2


def test_the_focus_can_be_seen_and_reaches_every_part(open_page, scenes):
    page = open_page("1280").load()
    asked = scenes["green-cube"]
    page.upload(asked.path)
    page.ask(asked.question)
    page.page.evaluate("document.activeElement.blur()")
    page.page.mouse.click(2, 2)
    reached, hidden = set(), []
    for _ in range(100):
        page.page.keyboard.press("Tab")
        ids, seen, source = page.page.evaluate(FOCUS)
        if not ids:  # past the last control
            break
        reached |= set(ids)
        hidden += [] if seen else [source]
    parts = ("viewer", "compass", "spots", "outlines", "upload", "question", "ask", "tabs", "views")
    assert {ELEMENTS[part] for part in parts} - reached == set()
    assert hidden == [], "the focus is drawn around every control"


#: Ids around the element that has the focus, whether the focus is drawn, and the element.
FOCUS = """() => {
    const node = document.activeElement, ids = []
    for (let at = node; at && at !== document.body; at = at.parentElement) ids.push(at.id)
    const drawn = at => {
        const style = at && getComputedStyle(at)
        return style && ((style.outlineStyle !== 'none' && style.outlineWidth !== '0px') || style.boxShadow !== 'none')
    }
    return [ids, !!(drawn(node) || drawn(node.parentElement)), node.outerHTML.slice(0, 160)]
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(open_page, scenes, scheme):
    page = open_page("1280", color_scheme=scheme).load()
    asked = scenes["purple-sphere"]
    page.upload(asked.path)
    page.ask(asked.question)
    assert page.page.evaluate(LOW_CONTRAST) == []


#: Texts whose contrast with the nearest opaque background is below 4.5 (3 for large text), as WCAG 2 defines it.
LOW_CONTRAST = r"""() => {
    const parse = text => { const n = text.match(/[\d.]+/g).map(Number); return text.startsWith('color(')
        ? [...n.slice(0, 3).map(v => 255 * v), n[3] ?? 1] : [n[0], n[1], n[2], n[3] ?? 1] }
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
    const mix = (top, under) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * under[i])
    const behind = node => {
        const layers = []
        for (let at = node; at; at = at.parentElement) {
            const style = getComputedStyle(at)
            if (style.backgroundImage !== 'none') return null
            layers.push(parse(style.backgroundColor))
            if (layers.at(-1)[3] === 1) break
        }
        return layers.reverse().reduce((under, top) => mix(top, under), [255, 255, 255])
    }
    const found = []
    for (const node of document.querySelectorAll('body *')) {
        const own = [...node.childNodes].some(part => part.nodeType === 3 && part.textContent.trim())
        if (!own || !node.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue
        if (node.closest('[aria-hidden=true], :disabled, .pnlm-container, script, style, noscript')) continue
        const style = getComputedStyle(node), back = behind(node)
        if (back === null || node.getBoundingClientRect().width < 2) continue
        const one = light(mix(parse(style.color), back)), two = light(back)
        const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05)
        const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700)
        if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)}: ${node.textContent.trim().slice(0, 60)}`)
    }
    return found
}"""
