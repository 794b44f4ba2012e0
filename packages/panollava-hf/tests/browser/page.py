"""The page as its users see it: what tests do in it, in one place."""

import base64
import io
import re
from urllib.parse import urlsplit

import numpy as np
from panollava_hf.demo._names import ELEMENTS
from PIL import Image

#: Width and height of a desktop and of a phone.
SIZES = {"1280": (1280, 800), "390": (390, 844)}
#: Milliseconds that a step may take on a slow machine.
PATIENCE = 60_000


class DemoPage:
    """An open page.

    Args:
        page: Playwright's page.
        address: Where the app answers.

    Attributes:
        requests: Addresses of everything that the browser asked for.
        errors: What the page's scripts raised or logged as an error.
    """

    def __init__(self, page, address):
        self.page, self.address = page, address
        self.requests, self.errors = [], []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))

    def load(self):
        """Open the page and wait until it can be used."""
        self.page.goto(self.address)
        self.element("question").wait_for()
        self.wait_for_image()  # the first sample
        return self

    def element(self, name):
        """An element by its name in `ELEMENTS`."""
        return self.page.locator(f"#{ELEMENTS[name]}")

    # Panoramas.

    def upload(self, path, *, shown=True):
        """Choose a file; wait until the viewer shows it."""
        before = self.image_address()
        self.page.get_by_role("tab", name="File", exact=True).click()
        self.element("upload").locator("input[type=file]").set_input_files(str(path))
        if shown:
            self.wait_for_image(before)

    def wait_for_image(self, before=None):
        """Wait until the viewer shows another image than before."""
        self.page.wait_for_function(
            "before => window.panollavaViewer && panollavaViewer.ready() && panollavaViewer.image() !== before",
            arg=before or "",
        )

    def image_address(self):
        """The address of the image in the viewer; None before there is one."""
        return self.page.evaluate("() => window.panollavaViewer ? panollavaViewer.image() : null")

    # The viewer.

    def yaw(self):
        """Yaw of the viewer in degrees."""
        return self.page.evaluate("panollavaViewer.yaw()")

    def pitch(self):
        """Pitch of the viewer in degrees."""
        return self.page.evaluate("panollavaViewer.pitch()")

    def look_at(self, yaw, pitch, hfov):
        """Turn the viewer, without an animation, and wait until it has drawn the pose."""
        self.page.wait_for_function(
            """async ([yaw, pitch, hfov]) => {
                const near = (a, b) => Math.abs(a - b) < 0.01
                panollavaViewer.lookAt(yaw, pitch, hfov, false)
                for (let frame = 0; frame < 4; frame++) await new Promise(requestAnimationFrame)
                return near(panollavaViewer.yaw(), yaw) && near(panollavaViewer.pitch(), pitch)
                    && near(panollavaViewer.hfov(), hfov)
            }""",
            arg=[yaw, pitch, hfov],
        )

    def wait_until_still(self):
        """Wait until the viewer does not turn for twelve frames."""
        self.page.wait_for_function(
            """async () => {
                const pose = () => `${panollavaViewer.yaw()} ${panollavaViewer.pitch()}`, before = pose()
                for (let frame = 0; frame < 12; frame++) await new Promise(requestAnimationFrame)
                return pose() === before
            }"""
        )

    def drag(self, right, down=0):
        """Drag the panorama by pixels."""
        box = self.element("viewer").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + right, y + down, steps=8)
        self.page.mouse.up()
        self.wait_until_still()

    def canvas(self):
        """What the viewer shows on the screen, `[height, width, 3]` uint8, without what lies over it."""
        stage = self.element("viewer").locator(".panorama-stage")
        return _pixels(stage.screenshot(style=ONLY_THE_IMAGE))

    def snapshot(self):
        """What the viewer's own `snapshot` returns, `[height, width, 3]` uint8."""
        address = self.page.evaluate("panollavaViewer.snapshot()")
        return _pixels(base64.b64decode(address.partition("base64,")[2]))

    def spots(self):
        """The hot spots: text, yaw and pitch of each."""
        return self.page.evaluate("panollavaViewer.spots()")

    def distance_from_centre(self, selector):
        """How far the first such element's centre is from that of the viewer, in pixels."""
        box, whole = (
            self.element("viewer").locator(name).first.bounding_box() for name in (selector, ".panorama-stage")
        )
        centres = [(b["x"] + b["width"] / 2, b["y"] + b["height"] / 2) for b in (box, whole)]
        return max(abs(a - b) for a, b in zip(*centres, strict=True))

    # The chat.

    def ask(self, question, *, wait=True):
        """Ask a question; wait for the answer and return it."""
        count = self.answers().count()
        self.element("question").locator("textarea, input").first.fill(question)
        self.button("ask").click()
        if not wait:
            return None
        self.answers().nth(count).wait_for()
        self.wait_until_idle()
        return self.answers().nth(count).inner_text().strip()

    def answers(self):
        """The answers in the chat, in order."""
        return self.element("chat").locator(".bot.message, .message.bot")

    def wait_until_idle(self):
        """Wait until no question runs."""
        self.page.wait_for_function("id => !document.getElementById(id)?.matches(':disabled, [disabled]')", arg="ask")

    def button(self, name):
        """A button by its name in `ELEMENTS`."""
        found = self.element(name)
        return found.and_(self.page.locator("button")).or_(found.locator("button")).first

    def status(self):
        """The sentence that says what happens, or what is wrong."""
        return " ".join(self.element("status").inner_text().split())

    def wait_for_status(self, pattern):
        """Wait until the sentence matches a pattern of JavaScript, and return it."""
        script = "([id, pattern]) => new RegExp(pattern, 'i').test(document.getElementById(id)?.innerText ?? '')"
        self.page.wait_for_function(script, arg=[ELEMENTS["status"], pattern])
        return self.status()

    def wait_for_error(self):
        """Wait until the sentence is an error, and return it."""
        self.element("status").locator(".status-error").wait_for()
        return self.status()

    # What belongs to an answer.

    def tab(self, name):
        """Open a tab by its name; on narrow screens it may be in the menu of further tabs."""
        tab = self.element("tabs").get_by_role("tab", name=name, exact=True).filter(visible=True)
        if tab.count() == 0:
            self.element("tabs").get_by_role("button", name="More tabs").filter(visible=True).click()
            tab = self.element("tabs").locator(".overflow-dropdown").get_by_text(name, exact=True)
        tab.first.click()

    def width_of_image(self, name):
        """Width in pixels of the file of an element's image, once it is loaded."""
        image = self.element(name).locator("img").first
        image.wait_for()
        return image.evaluate("async image => { await image.decode(); return image.naturalWidth }")

    # What must not be.

    def foreign_requests(self):
        """Addresses that do not belong to the app."""
        own = urlsplit(self.address)
        parts = [(url, urlsplit(url)) for url in self.requests]
        return [url for url, to in parts if to.scheme not in ("data", "blob") and (to.scheme, to.netloc) != own[:2]]

    def without_name(self):
        """Inputs, buttons and images that a screen reader has no name for, as HTML."""
        return self.page.evaluate(UNNAMED)


ONLY_THE_IMAGE = """
    .pnlm-ui, .pnlm-ui *, .pnlm-hotspot-base, .hot-spot, .panorama-outlines { visibility: hidden !important }
    .panorama-stage, .panorama-stage * { border-radius: 0 !important }
"""

UNNAMED = r"""() => {
    const text = node => (node?.innerText || node?.textContent || '').trim()
    const named = node => {
        const by = (node.getAttribute('aria-labelledby') || '').split(/\s+/).filter(Boolean)
        if (by.some(id => text(document.getElementById(id)))) return true
        if ((node.getAttribute('aria-label') || '').trim()) return true
        if (node.matches('img, [role=img]')) return node.hasAttribute('alt') || !!node.title
        if (node.labels && [...node.labels].some(label => text(label))) return true
        if (node.matches('button, a, [role=button], [role=tab], summary') && text(node)) return true
        if (node.querySelector('img[alt]:not([alt=""]), svg[aria-label], svg title')) return true
        return !!(node.title || '').trim()
    }
    const shown = node => node.checkVisibility({ visibilityProperty: true }) && !node.closest('[aria-hidden=true]')
    const kinds = 'button, input:not([type=hidden]), select, textarea, a[href], img, canvas[role], [role=button], '
        + '[role=tab], [role=slider], [role=img], [role=listbox], [role=combobox], iframe, summary'
    return [...document.querySelectorAll(kinds)].filter(node => shown(node) && !named(node))
        .map(node => node.outerHTML.slice(0, 200))
}"""


def _pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def between(first, second):
    """Smallest angle between two yaws, in degrees."""
    return abs((first - second + 180.0) % 360.0 - 180.0)


def words(text):
    """A text in lower case, without punctuation."""
    return re.sub(r"[^\w ]+", " ", text.lower()).split()
