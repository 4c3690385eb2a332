"""A whole small network in one launch, its weights sparse."""

from pruneflow.deploy.kernels.fused.network import FusedNetwork, why_not

__all__ = ["FusedNetwork", "why_not"]
