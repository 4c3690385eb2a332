"""The pages in a real browser: nothing overflows, nothing is asked for, nothing is logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pruneflow.report import deploy_page, gathered_page
from pruneflow.report.gathered import collect
from tests.report import samples
from tests.report.browser import look, needs_chromium

pytestmark = needs_chromium

PHONE, DESK = 360, 1200
REPORTS = {"good": samples.good, "awkward": samples.awkward, "red": samples.red,
           "hostile": samples.hostile}  # fmt: skip


@pytest.fixture(scope="module", params=[False, True], ids=["light", "dark"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("pages")
    pages = [folder / f"{name}.html" for name in (*REPORTS, "gathered")]
    for name, page in zip(REPORTS, pages, strict=False):
        deploy_page.write(REPORTS[name](), page)
    gathered_page.write(collect([samples.sweep(folder / "sweep")]), pages[-1])
    return request.param, *look(folder / "browser", pages, (PHONE, DESK), request.param)


def test_every_page_was_looked_at(seen: Any) -> None:
    _, looks, _ = seen
    assert [(one["name"], one["width"]) for one in looks] == [
        (name, width) for name in (*REPORTS, "gathered") for width in (PHONE, DESK)
    ]


def test_nothing_is_wider_than_the_screen(seen: Any) -> None:
    _, looks, _ = seen
    for one in looks:
        assert (one["scroll"], one["wide"]) == (one["width"], []), one["name"]


def test_no_page_asks_for_anything_or_complains(seen: Any) -> None:
    _, looks, console = seen
    assert console == []
    assert [one["asked"] for one in looks] == [[]] * len(looks)
    assert {one["scripts"] for one in looks} == {1}
    assert {one["images"] for one in looks} == {0}


def test_dark_is_dark_and_light_is_light(seen: Any) -> None:
    dark, looks, _ = seen
    for one in looks:
        paper, ink = (brightness(one[what]) for what in ("paper", "ink"))
        assert one["dark"] is dark
        assert (paper < 40 and ink > 200) if dark else (paper > 200 and ink < 60)


def test_the_pictures_wear_the_colours_of_the_page(seen: Any) -> None:
    dark, looks, _ = seen
    lines = {color for one in looks for color in one["lines"]}
    assert len(lines) > 5
    assert not any(color.startswith("rgb(240, 240, ") for color in lines)  # a placeholder is left
    assert ("rgb(79, 214, 189)" if dark else "rgb(15, 118, 110)") in lines


def test_the_smallest_letter_of_a_picture_can_be_read_on_a_phone(seen: Any) -> None:
    _, looks, _ = seen
    assert all(one["text"] > 10 for one in looks if one["name"] != "red")


def test_a_click_on_a_heading_sorts_and_another_one_turns_it_round(seen: Any) -> None:
    _, looks, _ = seen
    (columns,) = (
        one["sorted"] for one in looks if one["name"] == "gathered" and one["width"] == DESK
    )
    for column in columns:
        known = [value for value in column["up"] if value != "-"]
        numbers = [value for value in known if isinstance(value, int | float)]
        assert column["up"][len(known) :] == ["-"] * (len(column["up"]) - len(known))
        assert numbers == sorted(numbers)
        assert column["state"] == "descending"
        assert sorted(map(str, column["up"])) == sorted(map(str, column["down"]))
        assert [v for v in column["down"] if isinstance(v, int | float)] == numbers[::-1]


def test_what_is_wrong_would_be_seen(tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!DOCTYPE html><body><p style='width:2000px'>wide</p><img src='http://127.0.0.1:9/x.png'>"
        "<script>console.error('on purpose')</script>"
    )
    looks, console = look(tmp_path / "browser", [bad], (PHONE,), dark=False)
    assert looks[0]["scroll"] > PHONE
    assert looks[0]["wide"] == ["P."]
    assert looks[0]["asked"] == ["http://127.0.0.1:9/x.png"]
    assert any("on purpose" in line for line in console)


def brightness(color: str) -> float:
    return max(float(part) for part in color.removeprefix("rgb(").rstrip(")").split(","))
