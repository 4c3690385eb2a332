"""A small bundle with one of everything."""

from __future__ import annotations

import torch

from pruneflow.deploy.bundles.packing import Packed, pack
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.deploy.formats import FORMATS
from pruneflow.deploy.formats.bsr import Bsr

GRAPH = {
    "input": [1, 2.5, None, True],
    "nodes": [{"name": "fc1", "op": "linear", "of": 'Größe "x" \\ \n'}],
}
PREPROCESSING = {"mean": [0.1307], "std": [0.3081]}
CHOICE = {"fc1": "c", "threads": 2}


def tensors() -> dict[str, Packed | torch.Tensor]:
    """Every layout with every codec, and plain tensors of many dtypes; numbers without chance."""
    made: dict[str, Packed | torch.Tensor] = {}
    for first, layout in enumerate(FORMATS):
        for second, values in enumerate(CODECS):
            shape = [(5, 7), (3, 2, 2, 3), (4, 1), (1, 29)][(first + second) % 4]
            numel = torch.Size(shape).numel()
            weight = (torch.arange(numel) * 37 % 19 - 9).reshape(shape) / 8
            mask = (torch.arange(numel) * 11 % 4 == 0).reshape(shape)
            form = Bsr((2, 3)) if layout == "bsr" else layout
            made[f"{layout.replace(':', 'of')}.{values}"] = pack("w", weight, mask, form, values)
    made["empty.weight"] = pack("w", torch.zeros(0, 3), None, "csr16", "int8")
    made["bias"] = torch.arange(5) / 4
    made["scalar"] = torch.tensor(3)
    made["none"] = torch.zeros(2, 0, dtype=torch.uint32)
    made["flags"] = torch.tensor([[True, False], [False, True]])
    made["half"] = torch.tensor([1.5, float("-inf"), -0.0], dtype=torch.bfloat16)
    return made
