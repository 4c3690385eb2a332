"""Learning rates that a modifier takes over."""

from __future__ import annotations

from pruneflow.network import Network


def note_own_rates(network: Network, key: str) -> None:
    """Keep the rates of this moment as those a modifier takes over."""
    network.state.own_rates[key] = [
        [float(group["lr"]) for group in optimizer.param_groups] for optimizer in network.optimizers
    ]
