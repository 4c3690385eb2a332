"""Networks whose channels depend on each other in one way each, and some where none can go."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import nn
from torch.nn import functional as F

from pruneflow.structure import ChannelGroup, channel_groups
from pruneflow.zoo.models import MODELS

IMAGES = (4, 3, 8, 8)
SGD = {"name": "sgd", "lr": 0.1}


class Net(nn.Module):
    """Layers by name, and a function of them and of the inputs."""

    def __init__(self, run: Callable[[Net, torch.Tensor], object], **layers: nn.Module) -> None:
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, images: torch.Tensor) -> object:
        return self.run(self, images)


def conv(before: int, after: int, **options: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, **options)


def pooled(maps: torch.Tensor) -> torch.Tensor:
    return F.adaptive_avg_pool2d(maps, 1).flatten(1)


def residual() -> nn.Module:
    def run(net: Net, x: torch.Tensor) -> object:
        x = F.relu(net.norm(net.a(x)))
        return net.fc(pooled(F.relu(x + net.b(x))))

    layers = {"a": conv(3, 6), "norm": nn.BatchNorm2d(6), "b": conv(6, 6), "fc": nn.Linear(6, 4)}
    return Net(run, **layers)


def preactivation() -> nn.Module:
    def run(net: Net, x: torch.Tensor) -> object:
        x = net.a(x)
        x = x + net.b(F.relu(net.norm(x)))
        return net.fc(pooled(F.relu(net.last(x))))

    return Net(
        run, a=conv(3, 5), norm=nn.BatchNorm2d(5), b=conv(5, 5), last=nn.BatchNorm2d(5),
        fc=nn.Linear(5, 4),
    )  # fmt: skip


def depthwise() -> nn.Module:
    def run(net: Net, x: torch.Tensor) -> object:
        return net.fc(pooled(F.relu(net.c(F.relu(net.norm(net.b(F.relu(net.a(x)))))))))

    return Net(
        run, a=conv(3, 6), b=conv(6, 6, groups=6), norm=nn.BatchNorm2d(6), c=conv(6, 5),
        fc=nn.Linear(5, 4),
    )  # fmt: skip


def grouped() -> nn.Module:
    def run(net: Net, x: torch.Tensor) -> object:
        return net.fc(pooled(F.relu(net.c(F.relu(net.b(F.relu(net.a(x))))))))

    return Net(
        run, a=conv(3, 8), b=conv(8, 12, groups=2), c=conv(12, 8, groups=4), fc=nn.Linear(8, 4)
    )


def concat() -> nn.Module:
    def run(net: Net, x: torch.Tensor) -> object:
        both = torch.cat([F.relu(net.a(x)), F.relu(net.b(x))], 1)
        return net.fc(pooled(F.relu(net.c(F.relu(net.norm(both))))))

    return Net(
        run, a=conv(3, 4), b=conv(3, 5), norm=nn.BatchNorm2d(9), c=conv(9, 6), fc=nn.Linear(6, 4)
    )


def flatten() -> nn.Module:
    def run(net: Net, x: torch.Tensor) -> object:
        return net.fc2(F.relu(net.fc1(F.max_pool2d(F.relu(net.a(x)), 2).flatten(1))))

    return Net(run, a=conv(3, 4), fc1=nn.Linear(4 * 16, 7), fc2=nn.Linear(7, 4))


def branches() -> nn.Module:
    def run(net: Net, x: torch.Tensor) -> object:
        x = F.relu(net.a(x))
        return {"one": net.one(pooled(x)), "two": [net.three(F.relu(net.two(pooled(x))))]}

    return Net(run, a=conv(3, 6), one=nn.Linear(6, 2), two=nn.Linear(6, 5), three=nn.Linear(5, 3))


def twice() -> nn.Module:
    def run(net: Net, x: torch.Tensor) -> object:
        one, two = (F.relu(net.a(y)) for y in (x, -x))
        return net.fc(pooled(one * 2 + two))

    return Net(run, a=conv(3, 6), fc=nn.Linear(6, 4))


def gated() -> nn.Module:
    def run(net: Net, x: torch.Tensor) -> object:
        x = net.slope(net.a(x))
        gate = net.up(F.relu(net.down(pooled(x)))).sigmoid()
        return net.fc(pooled(x * gate[:, :, None, None]))

    return Net(
        run, a=conv(3, 6), slope=nn.PReLU(), down=nn.Linear(6, 3), up=nn.Linear(3, 6),
        fc=nn.Linear(6, 4),
    )  # fmt: skip


def volumes() -> nn.Module:
    def run(net: Net, x: torch.Tensor) -> object:
        x = F.relu(net.a(x[:, None])).mean((3, 4))
        return net.fc(F.relu(net.norm(net.b(x))).mean(2))

    return Net(
        run, a=nn.Conv3d(1, 4, 3), b=nn.Conv1d(4, 5, 1), norm=nn.BatchNorm1d(5),
        fc=nn.Linear(5, 4),
    )  # fmt: skip


NETS: dict[str, tuple[Callable[[], nn.Module], dict[str, int]]] = {
    "residual": (residual, {"a.weight": 6}),
    "preactivation": (preactivation, {"a.weight": 5}),
    "depthwise": (depthwise, {"a.weight": 6, "c.weight": 5}),
    "grouped": (grouped, {"a.weight": 4, "b.weight": 3, "c.weight": 2}),
    "concat": (concat, {"a.weight": 4, "b.weight": 5, "c.weight": 6}),
    "flatten": (flatten, {"a.weight": 4, "fc1.weight": 7}),
    "branches": (branches, {"a.weight": 6, "two.weight": 5}),
    "twice": (twice, {"a.weight": 6}),
    "gated": (gated, {"a.weight": 6, "down.weight": 3}),
    "volumes": (volumes, {"a.weight": 4, "b.weight": 5}),
}
"""Of each network, how to make it, and its groups with their number of channels."""


def after(middle: nn.Module) -> nn.Module:
    """A network with something between the two layers that make and read its channels."""
    return Net(
        lambda net, x: net.fc(pooled(net.middle(net.a(x)))), a=conv(3, 6), middle=middle,
        fc=nn.Linear(6, 4),
    )  # fmt: skip


def with_input() -> nn.Module:
    return Net(lambda net, x: net.fc(pooled(x + net.a(x))), a=conv(3, 3), fc=nn.Linear(3, 4))


def scaled() -> nn.Module:
    net = Net(lambda net, x: net.fc(pooled(net.a(x) * net.scale)), a=conv(3, 6), fc=nn.Linear(6, 4))
    net.scale = nn.Parameter(torch.ones(6, 1, 1))
    return net


def tied() -> nn.Module:
    net = Net(
        lambda net, x: net.fc(F.relu(net.b(F.relu(net.a(x.flatten(1)))))),
        a=nn.Linear(192, 192), b=nn.Linear(192, 192), fc=nn.Linear(192, 4),
    )  # fmt: skip
    net.b.weight = net.a.weight
    return net


def under_two_names() -> nn.Module:
    net = after(nn.ReLU())
    net.again = net.a
    return net


def counted() -> nn.Module:
    def run(net: Net, x: torch.Tensor) -> object:
        return net.fc(F.relu(net.a(x)).view(-1, 6, 64).mean(2))

    return Net(run, a=conv(3, 6), fc=nn.Linear(6, 4))


RIGID: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": lambda: after(nn.Sigmoid()),
    "softplus": lambda: after(nn.Softplus()),
    "softmax": lambda: after(nn.Softmax(1)),
    "layer_norm": lambda: after(nn.LayerNorm((6, 8, 8))),
    "group_norm": lambda: after(nn.GroupNorm(2, 6)),
    "instance_norm": lambda: after(nn.InstanceNorm2d(6)),
    "no_scale": lambda: after(nn.BatchNorm2d(6, affine=False)),
    "slopes": lambda: after(nn.PReLU(6)),
    "chunk": lambda: Net(
        lambda net, x: net.fc(pooled(net.a(x)[:, :3] * net.a(x)[:, 3:])), a=conv(3, 6),
        fc=nn.Linear(3, 4),
    ),
    "with_input": with_input,
    "scaled": scaled,
    "under_two_names": under_two_names,
    "counted": counted,
    "one_channel": lambda: Net(
        lambda net, x: net.fc(pooled(net.a(x))), a=conv(3, 1), fc=nn.Linear(1, 4)
    ),
    "only_outputs": lambda: Net(lambda net, x: net.a(x), a=conv(3, 6)),
}  # fmt: skip
"""Networks of which no channel can go."""

ZOO = {
    "lenet_300_100": ({"size": 8}, (4, 1, 8, 8)),
    "lenet5": ({"size": 16}, (4, 1, 16, 16)),
    "resnet20": ({}, (4, 1, 8, 8)),
    "mobilenet": ({}, (4, 1, 8, 8)),
    "vit": ({"size": 8, "depth": 2, "width": 16}, (4, 1, 8, 8)),
}
"""Of each model its arguments and the shape of images."""


@cache
def known(name: str) -> tuple[nn.Module, torch.Tensor, tuple[ChannelGroup, ...]]:
    """A network, to be copied, of some random values; inputs; its groups."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        if name in NETS:
            model, shape = NETS[name][0](), IMAGES
        else:
            arguments, shape = ZOO[name]
            model = MODELS[name](SGD, channels=1, **arguments)
        images = torch.randn(shape)
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                for tensor in (module.weight, module.bias, module.running_mean):
                    nn.init.normal_(tensor)
                nn.init.uniform_(module.running_var, 0.5, 2)
    return model, images, channel_groups(model, images)
