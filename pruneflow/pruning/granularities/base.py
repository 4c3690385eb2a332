"""What a granularity is: which masks a pruning may leave, and how it chooses among them.

A granularity sees a weight as the *matrix* that kernels multiply by: a row for each output; as
columns the inputs, and of a convolution the input channels of one place of its window after the
other: (out, in), or (out, height * width * in). So what is pruned together shares one place of
the window, as in sparse tensor cores (Mishra et al. 2021, arXiv:2104.08378) and in products of
blocks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

from pruneflow.pruning.allocation import Allocation, Guard, Quota, Sparsity
from pruneflow.pruning.scope import Layer
from pruneflow.registry import Registry

if TYPE_CHECKING:
    import torch

    from pruneflow.pruning.shards import Ranks
    from pruneflow.pruning.threshold import Scores

Shape = tuple[int, ...]


class Granularity(ABC):
    """One way to say which weights go together; immutable, and equal to its equals.

    Attributes:
        form: How a recipe writes it.
        schema: Of that form, for editors: JSON Schema.
        by_group: Whether what goes together reaches over layers, so that the network's groups
            of channels stand for layers wherever one is asked for.
        by_row: Whether it can choose where other processes hold some of the rows.
    """

    form: ClassVar[str]
    schema: ClassVar[Mapping[str, Any]]
    by_group: ClassVar[bool] = False
    by_row: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def read(cls, value: Any) -> Granularity | None:
        """What YAML's plain value means; None if it is the form of another granularity.

        Raises:
            ValueError: The form is this one's, the numbers are not.
        """

    @abstractmethod
    def write(self) -> Any:
        """The plain value that ``read`` takes."""

    @abstractmethod
    def __str__(self) -> str:
        """A few words for people."""

    @property
    def needs(self) -> str:
        """What a layer has to have to fit, in words that end a sentence."""
        return "nothing"

    @property
    def sparsity(self) -> float | None:
        """The final sparsity, where the granularity itself says it."""
        return None

    def fits(self, layer: Layer) -> bool:
        """Whether a layer can be divided so."""
        return True

    def require_fit(self, layers: Sequence[Layer]) -> None:
        """Make sure that layers can be divided so.

        Raises:
            ValueError: Some cannot; the message names all of them.
        """
        misfits = [layer for layer in layers if not self.fits(layer)]
        if not misfits:
            return
        shapes = ", ".join(
            f"'{layer.name}' ({' x '.join(map(str, layer.shape))})" for layer in misfits
        )
        names = ", ".join(layer.name.rpartition(".")[0] or layer.name for layer in misfits)
        spare = f"add 'ignore: [{names}]', or " if len(misfits) < len(layers) else ""
        raise ValueError(
            f"for {self} a layer needs {self.needs}, unlike {shapes}: "
            f"{spare}choose another granularity"
        )

    def continues(self, earlier: Granularity) -> bool:
        """Whether it can go on from a mask that another one left."""
        return earlier == self

    def quota(
        self,
        allocation: Allocation,
        layers: Sequence[Layer],
        sparsity: Sparsity,
        guard: Guard,
    ) -> Quota:
        """Zeros, counted in weights, that can be met with whole units.

        Raises:
            ValueError: They cannot, or the allocation or the guard refuses.
        """
        return allocation(layers, sparsity, guard)

    @abstractmethod
    def choose(
        self,
        scores: Mapping[str, Scores],
        shapes: Mapping[str, Shape],
        quota: Quota,
        ranks: Ranks | None = None,
    ) -> dict[str, torch.Tensor]:
        """Which weights a quota of this granularity prunes.

        Args:
            scores: A pass over the scores of each layer; -inf where a weight is pruned already.
            shapes: Of the layers' weights.
            quota: How many are to go.
            ranks: Who holds the layers' other rows, if this process holds some of them.

        Returns:
            For each layer a flat boolean tensor, True where pruned; together exactly
            ``quota.zeros``.
        """


GRANULARITIES: Registry[type[Granularity]] = Registry("granularity", "pruneflow.granularities")


def columns(layer: Layer) -> int:
    """Neighbouring columns of a layer's matrix: its inputs, or its input channels."""
    return layer.shape[1]


def gathered(start: Scores, shape: Shape) -> torch.Tensor:
    """All scores of a layer, as its matrix."""
    import torch

    return torch.cat(list(start())).view(shape).movedim(1, -1).reshape(shape[0], prod(shape[1:]))


def flat(matrix: torch.Tensor, shape: Shape) -> torch.Tensor:
    """A matrix in the order of its weight's indices."""
    return matrix.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1).reshape(-1)
