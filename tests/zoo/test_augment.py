"""Augmentation: what a slow reference does, drawn from nothing but the generator."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.errors import ConfigError
from pruneflow.zoo.augment import Augment


def variants(image: torch.Tensor, augment: Augment) -> list[torch.Tensor]:
    """Everything that may become of an image (channels, height, width), pixel by pixel."""
    _, height, width = image.shape
    moves = range(-augment.shift, augment.shift + 1)
    found = []
    for down in moves:
        for right in moves:
            for mirrored in (False, True) if augment.flip else (False,):
                made = torch.zeros_like(image)
                for row in range(height):
                    for column in range(width):
                        y, x = row + down, (width - 1 - column if mirrored else column) + right
                        if 0 <= y < height and 0 <= x < width:
                            made[:, row, column] = image[:, y, x]
                found.append(made)
    return found


def drawn(images: torch.Tensor, augment: Augment, seed: int = 0) -> torch.Tensor:
    return augment(images, torch.Generator().manual_seed(seed))


@given(
    augment=st.builds(Augment, shift=st.integers(0, 2), flip=st.booleans()),
    shape=st.tuples(*[st.integers(0, 3), st.integers(1, 3), st.integers(3, 5), st.integers(3, 5)]),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
    seed=st.integers(0, 9),
)
def test_an_image_becomes_what_moving_pixels_one_by_one_makes_of_it(
    augment: Augment, shape: tuple[int, ...], dtype: torch.dtype, seed: int
) -> None:
    images = torch.randint(1, 256, shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    before = images.clone()
    made = drawn(images, augment, seed)
    assert (made.shape, made.dtype) == (images.shape, images.dtype)
    assert torch.equal(images, before)
    for old, new in zip(images, made, strict=True):
        assert any(torch.equal(new, variant) for variant in variants(old, augment))


def test_every_shift_and_flip_is_drawn_about_as_often() -> None:
    augment, image = Augment(shift=1, flip=True), torch.arange(1, 13).view(1, 3, 4)
    made = drawn(image.expand(1800, 1, 3, 4), augment)
    counts = [sum(torch.equal(m, v) for m in made) for v in variants(image, augment)]
    assert sum(counts) == 1800
    assert 50 < min(counts) <= max(counts) < 150  # 100 expected, deviation 10


def test_it_is_the_generators_and_nobody_elses_chance() -> None:
    images, augment = torch.rand(50, 1, 6, 6), Augment(shift=2, flip=True)
    before = torch.get_rng_state()
    assert torch.equal(drawn(images, augment), drawn(images, augment))
    assert not torch.equal(drawn(images, augment), drawn(images, augment, seed=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_shifts_stay_the_same_when_flips_are_added() -> None:
    images = torch.rand(20, 2, 5, 5)
    plain, flipped = drawn(images, Augment(shift=2)), drawn(images, Augment(shift=2, flip=True))
    for one, other in zip(plain, flipped, strict=True):
        rows = [image.abs().sum((0, 2)) > 0 for image in (one, other)]
        assert torch.equal(*rows), "the same rows came in"


@pytest.mark.parametrize(
    ("tree", "mend"),
    [
        ({"shift": -1}, "data.augment.shift=-1: needs a whole number from 0"),
        ({"shift": 1.5}, "data.augment.shift=1.5"),
        ({"shift": True}, "data.augment.shift=True"),
        ({"shift": None}, "data.augment.shift=None"),
        ({"flip": 1}, "data.augment.flip=1: needs true or false"),
        ({"flipp": True}, "no key 'flipp'. Did you mean 'flip'?"),
        (4, "data.augment=4: needs a mapping of shift and flip"),
        ([], "needs a mapping"),
    ],
)
def test_mistakes_name_their_key(tree: object, mend: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Augment.from_tree(tree)
    assert mend in str(refused.value)


def test_nothing_said_is_nothing_done() -> None:
    assert Augment.from_tree(None) == Augment.from_tree({}) == Augment()
    assert not Augment()
    assert Augment.from_tree({"shift": 2, "flip": True}) == Augment(2, True)
