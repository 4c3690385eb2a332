"""The structure of a network: which channels go together, and how they are taken out."""

from pruneflow.structure.groups import ChannelGroup, Part
from pruneflow.structure.removing import remove
from pruneflow.structure.resizing import resize
from pruneflow.structure.search import channel_groups
from pruneflow.structure.slicing import (
    Gone,
    Slices,
    groups_after,
    kept_slices,
    producer_rows,
    slice_tensor,
)

__all__ = [
    "ChannelGroup",
    "Gone",
    "Part",
    "Slices",
    "channel_groups",
    "groups_after",
    "kept_slices",
    "producer_rows",
    "remove",
    "resize",
    "slice_tensor",
]
