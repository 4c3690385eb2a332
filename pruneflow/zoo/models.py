"""Every model of the zoo by name: LightningModules whose layers carry plain names."""

from pruneflow.zoo.classifier import MODELS, OPTIMIZERS, SCHEDULERS, Classifier, make_optimizer
from pruneflow.zoo.lenet import LeNet5, LeNet300100
from pruneflow.zoo.mobilenet import MobileNet
from pruneflow.zoo.resnet import ResNet20
from pruneflow.zoo.vit import VisionTransformer

__all__ = [
    "MODELS",
    "OPTIMIZERS",
    "SCHEDULERS",
    "Classifier",
    "LeNet5",
    "LeNet300100",
    "MobileNet",
    "ResNet20",
    "VisionTransformer",
    "make_optimizer",
]
