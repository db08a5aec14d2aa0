"""Printed text is kept as a terminal shows it in the end."""

from __future__ import annotations

import pytest

from autograder.wall.outputs import Outputs
from autograder.wall.screen import Screen

BARS = "".join(f"\rstep {n} of 5000" for n in range(5000))
NESTED = "".join(f"\router {n}\n\rinner {n}\x1b[A" for n in range(100))
SHOWN = {
    "nothing moves": ("a\nb\n", "a\nb\n"),
    "a progress bar": (BARS, "step 4999 of 5000"),
    "a bar that ends its line": (BARS + "\nend", "step 4999 of 5000\nend"),
    "a shorter text writes over the beginning": ("abcdef\rxy", "xycdef"),
    "… and goes on there": ("abcdef\rxyz", "xyzdef"),
    "lines of another system": ("a\r\nb\r\n", "a\nb\n"),
    "backspaces, as Keras prints them": ("10/90\b\b\b\b\b20/90", "20/90"),
    "more backspaces than characters": ("a\b\b\bb", "b"),
    "a line that is erased": ("a long line\r\x1b[Kshort", "short"),
    "… as a whole": ("a long line\x1b[2K\rshort", "short"),
    "colours stay": ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
    "colours that are written over go": (
        "\x1b[31mlong red\x1b[0m\r\x1b[32mgreen\x1b[0m!  ",
        "\x1b[0m\x1b[32mgreen\x1b[0m!  ",
    ),
    "bars in bars": (NESTED, "outer 99\ninner 99"),
    "no line above": ("a\x1b[9Ab", "ab"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("pieces", [1, 3, 10**6], ids=["by characters", "by threes", "at once"])
@pytest.mark.parametrize(("printed", "shown"), SHOWN.values(), ids=SHOWN)
def test_text_is_what_a_terminal_shows(printed: str, shown: str, pieces: int) -> None:
    screen = Screen()
    for start in range(0, len(printed), pieces):
        screen.write(printed[start : start + pieces])
    assert screen.text() == shown
    assert abs(screen.size - len(shown)) <= 5


def test_many_lines_are_kept_whole() -> None:
    text = "".join(f"line {n}\n" for n in range(10_000))
    screen = Screen()
    for start in range(0, len(text), 7777):
        screen.write(text[start : start + 7777])
    screen.write("\rend\x1b[999Aover")
    assert screen.text().count("\n") == 10_000
    assert screen.text().startswith("line 0\nline 1\n")
    assert screen.size == pytest.approx(len(screen.text()), abs=5)


def test_a_bar_of_any_length_takes_the_room_of_one_line() -> None:
    outputs = Outputs()
    for _ in range(300):
        outputs.keep({"output_type": "stream", "name": "stderr", "text": BARS})
    outputs.keep({"output_type": "stream", "name": "stderr", "text": "\nend"})
    outputs.keep({"output_type": "stream", "name": "stdout", "text": "a\rb"})
    assert [output["text"] for output in outputs.cell] == ["step 4999 of 5000\nend", "b"]
