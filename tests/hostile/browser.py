"""What a browser makes of a page: whether the boxes with a student's text change anything outside themselves."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bs4 import BeautifulSoup
from nbgrader.server_extensions import formgrader
from PIL import Image

from autograder.wall.pages import NAME

BOXES = f".{NAME}"
HEIGHT = 3000  # pixels that are looked at
# Round corners are drawn anew when what is beside them is.
FAINT = 12  # of 255
SPECKS = 9  # pixels; a letter has more
# Where the page is not a box, a click must not reach one.
REACHED = """() => {
  const found = [];
  for (let y = 3; y < innerHeight; y += 24) for (let x = 3; x < innerWidth; x += 60) {
    const hit = document.elementFromPoint(x, y), box = hit && hit.closest(BOXES);
    if (!box) continue;
    const outer = [...document.querySelectorAll(BOXES)].some(one => {
      const r = one.getBoundingClientRect();
      return r.left - 1 <= x && x <= r.right + 1 && r.top - 1 <= y && y <= r.bottom + 1;
    });
    if (!outer) found.push([x, y, box.textContent.slice(0, 40)]);
  }
  return found;
}""".replace("BOXES", repr(BOXES))
PLACES = """() => [...document.querySelectorAll(BOXES)].map(one => {
  const r = one.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom];
})""".replace("BOXES", repr(BOXES))


class Browser:
    """A tab of Chromium that notes what pages fetch and fails when one opens a dialog."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.fetched: list[str] = []
        page.route(re.compile("^https?:"), lambda route: route.abort())
        page.on("request", lambda request: self.fetched.append(request.url))
        page.on("dialog", lambda dialog: pytest.fail(f"a page has opened a dialog: {dialog.message}"))
        page.set_content("<img src=x onerror=\"document.title='PWNED'\">")
        page.wait_for_function("document.title == 'PWNED'")  # so it would look

    def open(self, path: Path) -> None:
        self.fetched.clear()
        self.page.goto(path.as_uri(), wait_until="load")
        self.page.wait_for_timeout(50)

    def reached_outside(self) -> list[Any]:
        """The points outside the boxes where a click would reach what is in one."""
        return list(self.page.evaluate(REACHED))

    def painted_outside(self) -> int:
        """The number of pixels outside the boxes that are different when nothing is painted in them."""
        places = self.page.evaluate(PLACES)
        with_text = self.picture()
        self.page.add_style_tag(content=f"{BOXES} {{ opacity: 0 !important }}")
        differs = np.max(np.abs(with_text - self.picture()), axis=-1) > FAINT
        for left, top, right, bottom in places:
            rows, columns = slice(max(0, int(top)), int(bottom) + 1), slice(max(0, int(left)), int(right) + 1)
            differs[rows, columns] = False
        found = int(differs.sum())
        return found if found > SPECKS else 0

    def picture(self) -> Any:
        shot = self.page.screenshot(animations="disabled", caret="hide")
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


@contextmanager
def browser(scheme: str = "light") -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"],
        )
        yield Browser(chromium.new_page(viewport={"width": 800, "height": HEIGHT}, color_scheme=scheme))
        chromium.close()


def skeleton(page: str) -> str:
    """The page with its boxes emptied."""
    soup = BeautifulSoup(page, "html.parser")
    for box in soup.select(BOXES):
        box.clear()
        box["class"] = NAME
    return str(soup)


def served(page: str) -> str:
    """formgrader's page with the styles that its server has."""
    static = Path(str(formgrader.__file__)).parent / "static"
    return page.replace("/formgrader/static", static.as_uri())
