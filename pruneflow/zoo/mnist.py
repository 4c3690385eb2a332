"""MNIST, and Fashion-MNIST, which comes in the same format."""

from __future__ import annotations

from pruneflow.zoo.files import Source
from pruneflow.zoo.idx import Checksums, IdxFiles
from pruneflow.zoo.image_data import DATA, Arrays, ByteImages, splits_of


class IdxImages(ByteImages):
    """Images of 28 x 28 grey pixels in IDX files.

    Attributes:
        files: Which ones.
    """

    sizes = {"train": 55_000, "val": 5_000, "test": 10_000}  # noqa: RUF012
    files: IdxFiles

    def load(self) -> dict[str, Arrays]:
        """See base class."""
        train, test = (self.files.load(self.root, name) for name in ("train", "t10k"))
        return splits_of(train, test, self.sizes)


@DATA.register("mnist")
class MNIST(IdxImages):
    """70,000 handwritten digits of 28 x 28 pixels (LeCun et al. 1998)."""

    mean, deviation = (0.1307,), (0.3081,)
    preprocessing = {"divide_by": 255, "subtract": 0.1307, "then_divide_by": 0.3081}  # noqa: RUF012
    files = IdxFiles(
        Source(
            "MNIST",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "MNIST/raw",
            "its four files, gzipped or not,",
        ),
        {
            "train-images-idx3-ubyte": Checksums(
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            "train-labels-idx1-ubyte": Checksums(
                "d53e105ee54ea40749a09fcbcd1e9432",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            "t10k-images-idx3-ubyte": Checksums(
                "9fb629c4189551a2d022fa330f9573f3",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            "t10k-labels-idx1-ubyte": Checksums(
                "ec29112dd5afa0611ce80d1b7f02629c",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        },
    )


@DATA.register("fashion_mnist")
class FashionMNIST(IdxImages):
    """70,000 pictures of clothes of 28 x 28 pixels (Xiao et al. 2017, arXiv:1708.07747)."""

    mean, deviation = (0.2860,), (0.3530,)
    preprocessing = {"divide_by": 255, "subtract": 0.2860, "then_divide_by": 0.3530}  # noqa: RUF012
    files = IdxFiles(
        Source(
            "Fashion-MNIST",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "FashionMNIST/raw",
            "its four .gz files (unpacked ones have no published checksum)",
        ),
        {
            "train-images-idx3-ubyte": Checksums("8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            "train-labels-idx1-ubyte": Checksums("25c81989df183df01b3e8a0aad5dffbe"),
            "t10k-images-idx3-ubyte": Checksums("bef4ecab320f06d8554ea6380940ec79"),
            "t10k-labels-idx1-ubyte": Checksums("bb300cfdad3c16e7a12a480ee83cd310"),
        },
    )
