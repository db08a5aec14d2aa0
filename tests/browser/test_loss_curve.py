"""LossCurve in a real JupyterLab, driven in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

import coursekit

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium", "playwright")]

TRAINING = """\
import time
from coursekit.widgets import LossCurve

def loss_function(t):
    time.sleep(0.02)
    return 2.0 * 0.9**t, "gradient"

with LossCurve("A <short> run") as curve:
    watched = curve.watch(loss_function)
    for t in range(100):
        watched(t)
"""
LAST_LOSS = f"{2.0 * 0.9**99:.4g}"

# Before the kernel answers, JupyterLab drops what it is asked to run.
READY = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
    const kernel = context?.session?.kernel;
    return context?.isReady && kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""


def test_the_curve_lives_while_the_kernel_does_and_its_figure_outlives_it(lab: Lab, browser: Any) -> None:
    lab.write("live.ipynb", TRAINING)
    page = browser.new_page()
    complaints = listen(page)
    lab.open(page, "live.ipynb")
    lab.run_all(page)

    # While the loop runs: the curve so far, and how far that is.
    picture = page.get_by_role("img", name="A <short> run")
    page.locator("p").get_by_text(re.compile(r"^\d+ iterations; first loss 2,")).wait_for()
    assert picture.is_visible()
    assert page.get_by_text("100 iterations").count() == 0, "the loop should still be running here"

    # When it has ended: the last value in words, in view, and the curve once, not twice.
    sentence = page.locator("p").get_by_text(f"100 iterations; first loss 2, last {LAST_LOSS}")
    sentence.wait_for()
    assert picture.is_visible()
    assert not page.locator("figure").is_visible(), "the figure should give way to the live curve"
    assert picture.get_by_text("loss", exact=True).is_visible()

    # By keyboard: Space for the log scale, from there Tab to the smoothing.
    page.get_by_role("checkbox", name="Log scale").focus()
    page.keyboard.press("Space")
    picture.get_by_text("loss (log scale)").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "number"
    assert page.get_by_role("spinbutton", name="Average over the last").input_value() == "1"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.locator("p").get_by_text("mean of the last 2 losses").wait_for()
    # The hidden figure follows suit.
    page.locator("figcaption").get_by_text("mean of the last 2 losses").wait_for(state="attached")

    assert complaints == []

    # The next day, without that kernel: the figure, as it was left.
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.close()
    lab.stop_kernels()

    page = browser.new_page()
    lab.open(page, "live.ipynb")
    figure = page.locator("figure")
    figure.wait_for()
    caption = figure.locator("figcaption").inner_text()
    assert LAST_LOSS in caption
    assert "mean of the last 2 losses" in caption
    assert LAST_LOSS in figure.locator("img").get_attribute("alt")
    assert figure.locator("img").evaluate("image => image.complete && image.naturalWidth > 300")
    # What JupyterLab says of the widget itself helps nobody, and is not seen.
    dead = page.get_by_text("Error displaying widget")
    dead.wait_for(state="attached")
    assert not dead.is_visible()


# ------------------------------------------------------------------- the stage


class Lab:
    """A JupyterLab of its own, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir()
        settings = folder / "home" / ".jupyter" / "labconfig"
        settings.mkdir(parents=True)
        # JupyterLab would ask the network for news, and the user whether it may.
        news = {"@jupyterlab/apputils-extension:announcements": True}
        (settings / "page_config.json").write_text(json.dumps({"disabledExtensions": news}))

        environment = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON"))}
        environment["HOME"] = str(folder / "home")
        environment["PYTHONPATH"] = str(Path(coursekit.__file__).parents[1])
        self.log = folder / "lab.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser"),
                    *(f"--port={self.url.rpartition(':')[2]}", "--ServerApp.port_retries=0"),
                    *("--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"),
                    *("--ServerApp.allow_root=True", f"--ServerApp.root_dir={self.notebooks}"),
                ],
                env=environment,
                cwd=self.notebooks,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.ask("GET", "/api")
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"JupyterLab did not start:\n{self.log.read_text()}")

    def ask(self, method: str, path: str) -> bytes:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method), timeout=10) as answer:
            return answer.read()

    def write(self, name: str, code: str) -> None:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code, id="code")])
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(notebook, self.notebooks / name)

    def open(self, page: Any, name: str) -> None:
        page.set_default_timeout(20_000)
        page.goto(f"{self.url}/lab/tree/{name}?reset")
        page.wait_for_function(READY)

    def run_all(self, page: Any) -> None:
        # Not awaited: the promise is kept only when the last cell has ended.
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def stop_kernels(self) -> None:
        for session in json.loads(self.ask("GET", "/api/sessions")):
            self.ask("DELETE", f"/api/sessions/{session['id']}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    try:
        lab.wait()
        yield lab
    finally:
        lab.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield browser
        browser.close()


def listen(page: Any) -> list[str]:
    """Collect what the page complains about: errors in the console, exceptions that nobody caught."""
    complaints: list[str] = []

    def on_console(message: Any) -> None:
        # A file that the server does not have is not our doing; we load none.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints
