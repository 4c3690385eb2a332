"""Every data set of the zoo by name."""

from pruneflow.zoo.cifar import CIFAR10
from pruneflow.zoo.digits import Digits
from pruneflow.zoo.image_data import DATA, ImageData
from pruneflow.zoo.mnist import MNIST, FashionMNIST

__all__ = ["CIFAR10", "DATA", "MNIST", "Digits", "FashionMNIST", "ImageData"]
