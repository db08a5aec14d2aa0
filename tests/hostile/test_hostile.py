"""A class of hostile notebooks, graded once: each has won nothing, and the class has lost nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from arena import ESCAPE, FULL, SIBLING, Arena, active, arena, formgrader_page
from attacks import ATTACKS, SLUG, Attack
from browser import browser, served
from sampled import some

from autograder.marks import KINDS, LIMIT
from autograder.wall.markup import clean
from autograder.wall.pages import NAME

pytestmark = [pytest.mark.needs("bwrap"), pytest.mark.slow]

BY_NAME = {attack.student: attack for attack in ATTACKS}
LOOKED_FOR = ("terminal_escapes", "formulas_for_spreadsheets")
TRIED = some(ATTACKS, 80)
TRIED += [attack for attack in ATTACKS if attack.student.endswith(LOOKED_FOR) and attack not in TRIED]
PAGES = [attack for attack in TRIED if attack.group == "pages"]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with arena(tmp_path_factory.mktemp("hostile"), TRIED) as ground:
        yield ground


def test_there_are_many_attacks_and_each_says_what_it_tries() -> None:
    assert len(ATTACKS) >= 60
    assert len(BY_NAME) == len(ATTACKS)
    for attack in ATTACKS:
        assert attack.blocks, attack.name
        assert re.search(r"\bWould win\b|\bWins\b", attack.tries), attack.name
        assert set(attack.earns) <= {"test_triple"}, attack.name  # never of what `check` grades


@pytest.mark.parametrize("attack", TRIED, ids=lambda attack: attack.student)
def test_an_attack_wins_nothing_and_costs_nobody_anything(ground: Arena, attack: Attack) -> None:
    assert ground.harm(attack) == []


@pytest.mark.parametrize("attack", TRIED, ids=lambda attack: attack.student)
def test_an_attack_is_marked_for_what_it_tried_and_for_nothing_else(ground: Arena, attack: Attack) -> None:
    marks = ground.records[attack.student]["marks"]
    kinds = {mark["kind"] for mark in marks}
    # On a busy machine time may be over before anything else is seen, and that is marked as a limit.
    assert kinds <= attack.marked | {LIMIT}, marks
    assert LIMIT in kinds or attack.marked <= kinds, marks


def test_nobody_honest_is_marked_whoever_was_graded_before(ground: Arena) -> None:
    marks = {name: record["marks"] for name, record in ground.records.items() if name not in BY_NAME}
    assert {name: found for name, found in marks.items() if found} == {}


def test_every_kind_of_mark_is_had_by_some_attack() -> None:
    assert {kind for attack in ATTACKS for kind in attack.marked} == set(KINDS)


def test_every_submission_is_graded_and_every_honest_one_has_full_marks(ground: Arena) -> None:
    assert {attack.student for attack in TRIED} < set(ground.records) == set(ground.scores)
    honest = [name for name in ground.scores if name == "neighbour" or name.endswith(SIBLING)]
    assert len(honest) > len(TRIED) / 7
    assert {name: ground.scores[name] for name in honest} == dict.fromkeys(honest, FULL)


def test_nothing_outside_has_been_changed(ground: Arena) -> None:
    assert ground.changed() == []


def test_nothing_has_outlived_its_notebook(ground: Arena) -> None:
    assert ground.left == []


def test_nobody_has_been_reached_over_the_network(ground: Arena) -> None:
    assert ground.reached == []


def test_the_table_obeys_no_student(ground: Arena) -> None:
    assert LOOKED_FOR[0] in ground.printed
    assert ESCAPE.findall(ground.printed) == []


def test_the_exported_grades_hold_nothing_that_students_wrote(ground: Arena) -> None:
    assert LOOKED_FOR[1] in ground.exported
    for field in ground.exported.replace("\n", ",").split(","):
        assert re.fullmatch(r"([\w .:][\w .:-]*)?", field), field


def test_without_a_wall_it_would_be_noticed(tmp_path: Path) -> None:
    names = ("secrets_reads_files_outside", "secrets_reads_another_submission", "secrets_opens_the_network")
    chosen = [BY_NAME[name] for name in names]  # they do no harm beyond the arena
    with arena(tmp_path, chosen, {"sandbox": "none", "cell_seconds": 20.0, "notebook_seconds": 60.0}) as ground:
        outside, another, network = chosen
        assert "read outside" in ground.harm(outside)
        assert "read neighbour" in ground.harm(another)
        assert any("neighbour" in path for path in ground.changed())
        assert ground.reached
        assert "WON" in " ".join(ground.harm(network))


# -- what a browser makes of the pages ------------------------------------------------------------


@pytest.mark.parametrize("attack", PAGES, ids=lambda attack: attack.name)
def test_formgrader_shows_it_without_running_it(ground: Arena, attack: Attack) -> None:
    sibling = next(name for name in ground.records if name.endswith(SIBLING))
    allowed = set(active(formgrader_page(ground.course, sibling)))
    assert [what for what in active(formgrader_page(ground.course, attack.student)) if what not in allowed] == []


@pytest.mark.needs("chromium", "playwright")
def test_a_browser_runs_none_of_it_and_shows_it_in_its_boxes(ground: Arena, tmp_path: Path) -> None:
    formgraders = tmp_path / "page.html"
    with browser() as tab:
        for attack in some(PAGES, 6):
            formgraders.write_text(served(formgrader_page(ground.course, attack.student)), encoding="utf-8")
            for path in (ground.course.folder("feedback", attack.student, SLUG) / f"{SLUG}.html", formgraders):
                tab.open(path)
                assert tab.page.title() == SLUG, attack.name
                for link in tab.page.query_selector_all(f".{NAME} a[href]:not([href^=http])"):
                    link.dispatch_event("click")
                assert tab.page.title() == SLUG, attack.name
                assert not [url for url in tab.fetched if "example.org" in url], attack.name
                assert tab.reached_outside() == [], attack.name
                assert tab.painted_outside() == 0, attack.name


@pytest.mark.parametrize(
    "html",
    [
        "<script>f()</script>",
        "<img src=x onerror=f()>",
        "<a href='java\nscript:f()'>x</a>",
        "<iframe srcdoc='x'></iframe>",
        "<form action=x></form>",
        "<style>*{color:red}</style>",
        "<meta http-equiv=refresh content=0>",
        "<img src=https://example.org/x.png>",
        "<p style='position:fixed'>x</p>",
        "<p style='margin-top:-1px'>x</p>",
        "<svg><use xlink:href='data:text/html,x'/></svg>",
    ],
)
def test_what_looks_at_pages_would_find_it(html: str) -> None:
    assert list(active(html))
    assert not list(active(clean(html)))
