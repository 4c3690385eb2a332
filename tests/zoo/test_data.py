"""Data: the same splits for everybody, and what every data set says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pruneflow.zoo.augment import Augment
from pruneflow.zoo.data import DATA, Digits

SPLITS = ("train", "val", "test")


def digits(**options: object) -> Digits:
    """The digits, loaded."""
    data = Digits(**options)  # type: ignore[arg-type]
    data.setup()
    return data


def test_digits_have_the_sizes_they_declare_and_no_image_twice() -> None:
    data = digits()
    splits = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    assert [len(s.inputs) for s in splits] == [data.num_samples(name) for name in SPLITS]
    assert splits[0].inputs.shape[1:] == (1, 28, 28)
    assert sum(len(loader.inputs) for loader in splits) == 1797


def test_splits_do_not_depend_on_the_seed() -> None:
    one, other = digits(seed=1), digits(seed=2)
    assert torch.equal(one.train_dataloader().inputs, other.train_dataloader().inputs)
    assert not torch.equal(next(iter(one.train_dataloader()))[1],
                           next(iter(other.train_dataloader()))[1])  # fmt: skip


def test_only_training_batches_are_augmented() -> None:
    plain, augmented = digits(), digits(augment=Augment(shift=3, flip=True))
    for name, same in (("train", False), ("val", True), ("test", True)):
        (one, labels), (other, others) = (
            next(iter(getattr(data, f"{name}_dataloader")())) for data in (plain, augmented)
        )
        assert torch.equal(one, other) == same
        assert torch.equal(labels, others)


@pytest.mark.parametrize("size", [0, -1, 2.5, "64"])
def test_a_batch_size_that_is_none_is_refused(size: object) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        Digits(batch_size=size)  # type: ignore[arg-type]


def test_a_shift_out_of_sight_is_refused() -> None:
    Digits(augment=Augment(shift=27))
    with pytest.raises(ValueError, match=r"augment\.shift=28: images are 28 pixels wide"):
        Digits(augment=Augment(shift=28))


@pytest.mark.parametrize("name", list(DATA))
def test_sizes_and_shapes_are_known_without_loading(name: str) -> None:
    data = DATA[name](root="nowhere")
    assert data.num_samples("train") > data.num_samples("test") > 0
    assert data.preprocessing
    assert data.channels in (1, 3)
    assert data.size in (28, 32)
    assert data.classes == 10


def test_published_splits_are_split_as_declared() -> None:
    sizes = {name: [DATA[name].sizes[split] for split in SPLITS] for name in DATA}
    assert sizes == {
        "digits": [1257, 180, 360],
        "mnist": [55_000, 5_000, 10_000],
        "fashion_mnist": [55_000, 5_000, 10_000],
        "cifar10": [45_000, 5_000, 10_000],
    }


def test_the_environment_names_the_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEFLOW_DATA", "somewhere")
    assert DATA["mnist"]().root == Path("somewhere")
