"""Where recipes are found, what a name may reach, and what a recipe may build on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pruneflow.errors import RecipeError
from pruneflow.recipe import library
from pruneflow.recipe.compose import load_recipe

MINE = "length: 3ep\nmodifiers: {mine: {type: freeze_mask}}\n"
BUILTIN = library.data_root() / "recipes"


def write(name: str, text: str = MINE) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refusal(name: str | Path) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(name)
    return str(caught.value)


def modifiers(name: str | Path) -> list[str]:
    return list(load_recipe(name).modifiers)


def test_a_persons_own_recipe_comes_first_and_builtin_stays_reachable() -> None:
    assert "prune" in modifiers("gradual")
    write("recipes/gradual.yaml")
    assert modifiers("gradual") == ["mine"]
    assert modifiers("builtin/gradual") == modifiers(BUILTIN / "gradual.yaml") != ["mine"]


def test_names_lists_both_folders_once() -> None:
    shipped = {path.stem for path in BUILTIN.glob("*.yaml")}
    assert set(library.names()) == shipped
    write("recipes/gradual.yaml")
    write("recipes/zebra.yaml")
    write("recipes/.hidden.yaml")
    write("recipes/_parts/stripe.yaml", "type: freeze_mask\n")
    assert library.names() == sorted(shipped | {"zebra"})
    assert "stripe" in library.names(parts=True)
    assert "decay" in library.names(parts=True)


@pytest.mark.parametrize("name", ["zebra", "zebra.yaml", "./recipes/zebra", "recipes/zebra.yaml"])
def test_ways_to_ask_for_one_recipe(name: str) -> None:
    write("recipes/zebra.yaml")
    assert modifiers(name) == ["mine"]


@pytest.mark.parametrize(
    "name",
    ["jürgen", "q'uote", "deep/er/z", "a=b", "a,b", "a@b", "~x", "a:b", "$x", "v1.2", "[x]", "{x}"],
)
def test_a_file_may_have_any_name(name: str) -> None:
    path = write(f"{name} 2.yaml")
    assert modifiers(f"./{path}") == ["mine"]
    assert modifiers(path) == ["mine"]
    assert modifiers(path.absolute()) == ["mine"]


def test_a_folder_may_have_any_name() -> None:
    path = write("jürgen's (old) a=b, files/z.yaml")
    assert modifiers(path.absolute()) == ["mine"]


def test_a_symbolic_link_does_not_lead_out_of_the_folder() -> None:
    write("outside/secret.yaml")
    Path("recipes").mkdir()
    Path("recipes/link.yaml").symlink_to(Path("outside/secret.yaml").absolute())
    Path("recipes/door").symlink_to(Path("outside").absolute())
    for name in ("link", "link.yaml", "door/secret", "door/../link"):
        assert library.find(name) is None
        assert refusal(name).startswith(f"no recipe '{name}'.")
    write("recipes/inside.yaml")
    Path("recipes/alias.yaml").symlink_to("inside.yaml")
    assert modifiers("alias") == ["mine"]


@pytest.mark.parametrize("name", ["x/../../outside", "builtin/../../README", "builtin/../conf/x"])
def test_a_name_does_not_climb_out(name: str) -> None:
    write("outside.yaml")
    write("recipes/x/y.yaml")
    assert refusal(name).startswith(f"no recipe '{name}'.")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gradul", "no recipe 'gradul'. Did you mean 'gradual'? Allowed: "),
        ("builtin/gradul", "no recipe 'builtin/gradul'. Did you mean 'gradual'? Allowed: "),
        ("./nope.yaml", "no recipe file './nope.yaml'"),
        ("../nope", "no recipe file '../nope'"),
        ("", "no recipe ''. Allowed: "),
        ("null", "no recipe 'null'. Allowed: "),
        ("glob(*)", "no recipe 'glob(*)'. Allowed: "),
        ("hydra/launcher/basic", "no recipe 'hydra/launcher/basic'. Allowed: "),
        ("recipes", "no recipe 'recipes'. Allowed: "),
    ],
)
def test_a_recipe_that_is_not_there(name: str, message: str) -> None:
    Path("recipes").mkdir()
    assert refusal(name).startswith(message)


def test_a_recipe_file_without_its_ending_is_explained() -> None:
    write("noext")
    assert library.unknown("./noext").startswith("'./noext' is no recipe; the names")
    assert "There is a file" not in library.unknown("noext")


@pytest.mark.parametrize("name", ["beside", "beside.yaml"])
def test_a_file_beside_is_pointed_to(name: str) -> None:
    write("beside.yaml")
    assert library.unknown(name).endswith(" There is a file of that name: write './beside.yaml'.")


def test_a_fragment_is_not_a_recipe() -> None:
    with pytest.raises(RecipeError):
        load_recipe("_parts/decay")


@pytest.mark.parametrize(
    ("defaults", "line", "phrase"),
    [
        ("[me, _self_]", 2, "defaults: 'me' extends itself"),
        ("\n  - _self_\n  - me", 4, "defaults: 'me' extends itself"),
        ("[gradul, _self_]", 2, "defaults: no recipe 'gradul'. Did you mean 'gradual'? Allowed: "),
        ("[{_parts@modifiers.x: decy}]", 2, "no fragment 'decy'. Did you mean 'decay'? Allowed: "),
        ("[_self_, _self_]", 2, "defaults: '_self_' is given twice"),
        ("[gradual, gradual]", 2, "defaults: 'gradual' is given twice"),
        ("\n  - _parts@modifiers.x: decay\n  - _parts@modifiers.x: decay", 4, "is given twice"),
    ],
)
def test_defaults_that_cannot_be_followed(defaults: str, line: int, phrase: str) -> None:
    write("recipes/me.yaml", f"length: 3ep\ndefaults: {defaults}\n")
    message = refusal("me")
    assert message.startswith(f"recipes/me.yaml:{line}: ")
    assert phrase in message


def test_a_recipe_extending_its_own_builtin_name_is_told_how() -> None:
    write("recipes/gradual.yaml", "defaults: [gradual, _self_]\nlength: 7ep\n")
    message = refusal("gradual")
    assert message == (
        "recipes/gradual.yaml:1: defaults: 'gradual' extends itself; "
        "the built-in one is 'builtin/gradual'"
    )
    write("recipes/gradual.yaml", "defaults: [builtin/gradual, _self_]\nlength: 30ep\n")
    mine, theirs = load_recipe("gradual"), load_recipe("builtin/gradual")
    assert mine.modifiers == theirs.modifiers
    assert str(mine.length) == "30ep"


def test_fragments_are_the_same_from_a_subfolder() -> None:
    write("recipes/deep/child.yaml", "defaults: [{_parts@modifiers.f: decay}, builtin/gradual]\n")
    swapped = load_recipe("deep/child", overrides=["_parts@modifiers.finetune=finetune"])
    assert list(swapped.modifiers) == ["f", "finetune", "prune", "freeze"]
    assert swapped.modifiers["finetune"].schedule == "constant"  # type: ignore[attr-defined]


def test_a_parent_may_live_in_a_subfolder() -> None:
    write("recipes/deep/er/parent.yaml", "length: 3ep\nmodifiers: {mine: {type: freeze_mask}}\n")
    write("recipes/child.yaml", "defaults: [deep/er/parent, _self_]\nlength: 4ep\n")
    child = load_recipe("child")
    assert list(child.modifiers) == ["mine"]
    assert str(child.length) == "4ep"
    assert child.locate(("modifiers", "mine")) == "recipes/deep/er/parent.yaml:2"


def test_a_circle_of_recipes_ends() -> None:
    write("recipes/a.yaml", "defaults: [b, _self_]\n")
    write("recipes/b.yaml", "length: 3ep\ndefaults:\n  - a\n  - _self_\n")
    assert refusal("a").startswith("recipes/b.yaml:3: defaults: 'a' extends itself")
    assert refusal("b").startswith("recipes/a.yaml:1: defaults: 'b' extends itself")
    os.symlink("a.yaml", "recipes/c.yaml")
    write("recipes/b.yaml", "defaults: [c, _self_]\n")
    assert "extends itself" in refusal("a")


def test_a_broken_parent_is_named_with_its_own_line() -> None:
    write("recipes/parent.yaml", "length: 3ep\nvars: {a: 1, a: 2}\n")
    write("recipes/child.yaml", "defaults: [parent, _self_]\n")
    assert refusal("child").startswith("recipes/parent.yaml:2: 'a' is given twice")


def test_a_fragment_has_no_defaults() -> None:
    write("recipes/_parts/x.yaml", "type: freeze_mask\ndefaults: [gradual]\n")
    write("recipes/me.yaml", "defaults: [{_parts@modifiers.x: x}, _self_]\nlength: 3ep\n")
    assert refusal("me").startswith("recipes/_parts/x.yaml:2: a fragment has no defaults")


def test_a_persons_own_fragment_comes_first() -> None:
    write("recipes/_parts/decay.yaml", "type: freeze_mask\nstart: prune.end\n")
    assert load_recipe("gradual").modifiers["finetune"].type == "freeze_mask"


def test_description_is_the_comment_at_the_head() -> None:
    path = write("recipes/zebra.yaml", "# Stripes,\n# black and white.\n\n# not this\n" + MINE)
    assert library.description(path) == "Stripes, black and white."
    assert ("zebra", "Stripes, black and white.", path.absolute()) in list(library.described())


def test_a_mistake_in_a_fragment_is_shown_where_it_stands() -> None:
    write("recipes/_parts/bent.yaml", "type: freeze_mask\nstrat: 1ep\n")
    write("recipes/child.yaml", "length: 3ep\ndefaults: [{_parts@modifiers.f: bent}]\n")
    with pytest.raises(RecipeError, match=r"^recipes/_parts/bent\.yaml:2: .*'strat'"):
        load_recipe("child")
