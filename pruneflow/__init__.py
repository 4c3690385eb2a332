"""Declarative pruning recipes for PyTorch Lightning.

Names are imported when they are first used, so that ``import pruneflow`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pruneflow.callback import RecipeCallback
    from pruneflow.checkpoint import ExactCheckpoint
    from pruneflow.deploy.api import deploy_model
    from pruneflow.deploy.loading import load
    from pruneflow.engine import Engine
    from pruneflow.errors import PruneFlowError
    from pruneflow.loop.api import prune
    from pruneflow.pruning.scope import find_layers
    from pruneflow.recipe.compiler import compile_plan
    from pruneflow.recipe.compose import load_recipe
    from pruneflow.structure.resizing import resize
    from pruneflow.timeline import Horizon

__version__ = "0.1.0"

_HOMES = {
    "Engine": "pruneflow.engine",
    "ExactCheckpoint": "pruneflow.checkpoint",
    "Horizon": "pruneflow.timeline",
    "PruneFlowError": "pruneflow.errors",
    "RecipeCallback": "pruneflow.callback",
    "compile_plan": "pruneflow.recipe.compiler",
    "deploy_model": "pruneflow.deploy.api",
    "find_layers": "pruneflow.pruning.scope",
    "load": "pruneflow.deploy.loading",
    "load_recipe": "pruneflow.recipe.compose",
    "prune": "pruneflow.loop.api",
    "resize": "pruneflow.structure.resizing",
}

__all__ = [
    "Engine",
    "ExactCheckpoint",
    "Horizon",
    "PruneFlowError",
    "RecipeCallback",
    "compile_plan",
    "deploy_model",
    "find_layers",
    "load",
    "load_recipe",
    "prune",
    "resize",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pruneflow' has no attribute '{name}'")
