"""A pruned torch module becomes a bundle: python examples/ship_a_module.py [FOLDER]

It does not matter who pruned it; only the bundle is needed to run it.
"""

import sys

import torch
from torch import nn

import pruneflow


def pruned_network(sparsity: float = 0.95) -> nn.Module:
    """A convolutional network whose smallest weights are zeros."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 256), nn.ReLU(), nn.Linear(256, 10),
    )  # fmt: skip
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() > 1:
                weight[weight.abs() < weight.abs().quantile(sparsity)] = 0
    return network.eval()


def main(folder: str) -> None:
    """Deploy it, load what was written, and compare."""
    network = pruned_network()
    images = torch.randn(64, 1, 28, 28)
    done = pruneflow.deploy_model(
        network, images, folder, batches=[1, 16], threads=[1], seconds=0.2,
        candidates=["onnxruntime", "torch_csr", "c"],
    )  # fmt: skip
    size = done.report["bundle"]
    print(f"{size['dense_bytes']:,} bytes dense, {size['bytes']:,} as a bundle")
    print(done.report["verdict"]["why"])

    shipped = pruneflow.load(folder)
    with torch.inference_mode():
        difference = (shipped(images) - network(images)).abs().max()
    print(f"largest difference to the module: {difference:.1e}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "shipped")
