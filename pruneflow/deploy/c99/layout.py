"""How a result lies in memory: a feature map that a padded convolution reads has a frame of zeros.

The zeros behind a row serve the next one too, and those below a plane the plane after it: a frame
costs one column and one row for each pixel of padding, not two. So every place that a convolution
looks at exists, and no weight has to ask whether it is inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from pruneflow.deploy.graphs.graph import INPUT, Graph
from pruneflow.deploy.graphs.ops import ACTIVATIONS, Shape

Frame = tuple[int, int]
"""Rows and columns of zeros."""

NO_FRAME: Frame = (0, 0)


@dataclass(frozen=True)
class Layout:
    """Where the numbers of a result are.

    Attributes:
        shape: (channels, height, width), or of a vector (features,).
        frame: Of a feature map.
    """

    shape: Shape
    frame: Frame = NO_FRAME

    @property
    def pitch(self) -> int:
        """From a row to the next."""
        return self.shape[-1] + self.frame[1]

    @property
    def plane(self) -> int:
        """From a channel to the next."""
        return (self.shape[-2] + self.frame[0]) * self.pitch if len(self.shape) == 3 else 1

    @property
    def lead(self) -> int:
        """Numbers before the first pixel."""
        return self.frame[0] * self.pitch + self.frame[1]

    @property
    def size(self) -> int:
        """Of all of it."""
        return (
            self.lead + self.shape[0] * self.plane if self.frame != NO_FRAME else prod(self.shape)
        )


def frames_of(graph: Graph) -> dict[str, Frame]:
    """The frame of every result, and of INPUT: what its readers need.

    Results that are added, or that an activation makes of one another, have the same frame, so
    that one can take the place of the other.
    """
    alike = {INPUT: INPUT, **{node.name: node.name for node in graph.nodes}}

    def group(name: str) -> str:
        while alike[name] != name:
            name = alike[name]
        return name

    for node in graph.nodes:
        if node.op in (*ACTIVATIONS, "add"):
            for name in node.inputs:
                alike[group(name)] = group(node.name)
    needs: dict[str, Frame] = {}
    for node in graph.nodes:
        padding = node.options.get("padding")
        if node.op == "conv2d" and isinstance(padding, list):
            rows, columns = needs.get(group(node.inputs[0]), NO_FRAME)
            needs[group(node.inputs[0])] = (max(rows, padding[0]), max(columns, padding[1]))
    return {name: needs.get(group(name), NO_FRAME) for name in alike}
