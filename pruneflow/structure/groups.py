"""What a group of channels is: names of tensors and indices, and nothing of the network itself.

Channels of several tensors depend on each other: where a residual sum adds two layers' outputs,
channel 3 of the one cannot go without channel 3 of the other (Fang et al. 2023,
arXiv:2301.12900). A group holds all that goes with each of its channels.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One dimension of one tensor, as far as it belongs to a group.

    Attributes:
        tensor: The parameter's or buffer's name.
        dim: The dimension that loses indices.
        size: Of that dimension.
        indices: For each channel its indices in that dimension, rising; none where the channel
            does not pass through this tensor.
    """

    tensor: str
    dim: int
    size: int
    indices: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that can be taken out of a network one by one.

    With all its producers zero, a channel is zero wherever it is read, so nothing that reads it
    changes when it is removed.

    Attributes:
        name: Of the group: its first producing weight.
        channels: How many.
        producers: What makes a channel, always dimension 0: rows of weights, biases, and scale
            and shift of batch norms.
        consumers: What reads it, always dimension 1: columns of weights.
        buffers: What is kept of it, always dimension 0: statistics of batch norms.
    """

    name: str
    channels: int
    producers: tuple[Part, ...]
    consumers: tuple[Part, ...]
    buffers: tuple[Part, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Everything that shrinks when a channel goes."""
        return (*self.producers, *self.consumers, *self.buffers)
