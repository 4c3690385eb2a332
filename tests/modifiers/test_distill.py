"""``distill``: the formula, the teacher, and what it must leave alone."""

from __future__ import annotations

import copy
import io
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

import pruneflow
from pruneflow.errors import PlanError, RecipeError, TrainingError
from pruneflow.modifiers.fields import TensorFile
from pruneflow.operations.distilling import soft_loss
from pruneflow.recipe.schema import build
from tests.loop import Loop, small_net

TEACH = {"type": "distill", "start": "2st", "temperature": 3.0, "alpha": 0.6}


def recipe(**fields: Any) -> Any:
    return build({"length": "6st", "modifiers": {"d": {**TEACH, **fields}}})


class Net(nn.Module):
    """Batch norm and dropout: what differs in training and remembers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5))
        self.head = nn.Linear(8, 3)
        self.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 3, (5,), generator=generator)


def begun(net: nn.Module, until: int = 3, **fields: Any) -> tuple[Any, torch.optim.Optimizer]:
    """A training that has come to step ``until``."""
    optimizer = torch.optim.SGD(net.parameters(), 0.3, momentum=0.9)
    pruning = pruneflow.prune(net, recipe(**fields), steps_per_epoch=3, optimizer=optimizer)
    for step in range(until):
        x, y = batch(step)
        optimizer.zero_grad()
        pruning.loss(F.cross_entropy(net(x), y)).backward()
        optimizer.step()
        pruning.step()
    return pruning, optimizer


# -- the formula ---------------------------------------------------------------------------


def test_two_classes_by_hand() -> None:
    """T = 2, teacher (2 ln 3, 0) is (3/4, 1/4), student (0, 0) is (1/2, 1/2)."""
    teacher = torch.tensor([[2 * math.log(3), 0.0]], dtype=torch.float64)
    expected = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    found = soft_loss(torch.zeros(1, 2, dtype=torch.float64), teacher, 2.0)
    assert float(found) == pytest.approx(expected, rel=1e-12)


@given(
    st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 5), st.floats(0.3, 20), st.booleans()
)
def test_its_gradient_is_the_difference_of_the_softened(
    seed: int, n: int, classes: int, temperature: float, is_map: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (n, classes, 2, 3) if is_map else (n, classes)
    student, teacher = (
        torch.randn(shape, generator=generator, dtype=torch.float64) * 4 for _ in range(2)
    )
    student.requires_grad_()
    loss = soft_loss(student, teacher, temperature)
    loss.backward()
    soft = [(logits / temperature).softmax(1).detach() for logits in (student, teacher)]
    count = student.numel() / classes
    torch.testing.assert_close(student.grad, temperature * (soft[0] - soft[1]) / count)
    brute = (soft[1] * (soft[1] / soft[0]).log()).sum() * temperature**2 / count
    torch.testing.assert_close(loss.detach(), brute)
    assert float(loss.detach()) >= -1e-12


def test_the_loss_is_that_of_the_paper_and_of_fitnets() -> None:
    net = Net()
    pruning, _ = begun(net, 2, hints="body.0", hint_weight=0.2, end="5st")
    teacher = copy.deepcopy(net).eval()
    begun_from = [p.detach().clone() for p in net.parameters()]
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.arange(p.numel(), dtype=p.dtype).view_as(p).sin())
    x, y = batch(7)
    state = torch.get_rng_state()
    scores = net(x)
    after = torch.get_rng_state()
    task = F.cross_entropy(scores, y)
    total = pruning.loss(task)
    found = torch.autograd.grad(total, list(net.parameters()))

    torch.set_rng_state(state)
    student = net.body(x)  # once more with the same dropout
    assert torch.equal(torch.get_rng_state(), after), "the teacher draws nothing"
    ours, theirs = net.head(student), teacher(x).detach()
    soft = F.kl_div((ours / 3).log_softmax(1), (theirs / 3).softmax(1), reduction="batchmean")
    hint = ((net.body[0](x) - teacher.body[0](x).detach()) ** 2).mean()
    explicit = 0.4 * F.cross_entropy(ours, y) + 0.6 * 9 * soft + 0.2 * hint
    torch.testing.assert_close(total, explicit, rtol=1e-12, atol=0)
    expected = torch.autograd.grad(explicit, list(net.parameters()))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)
    assert all(map(torch.equal, begun_from, teacher.parameters()))


# -- the teacher ---------------------------------------------------------------------------


def test_alpha_0_changes_nothing_at_all() -> None:
    """Nor buffers, nor modes, nor the random state, nor what is seen without a gradient."""
    left, right = Net(), Net()
    torch.manual_seed(5)
    begun(left, 6, alpha=0.0)
    first = torch.get_rng_state()
    torch.manual_seed(5)
    optimizer = torch.optim.SGD(right.parameters(), 0.3, momentum=0.9)
    for step in range(6):
        x, y = batch(step)
        optimizer.zero_grad()
        F.cross_entropy(right(x), y).backward()
        optimizer.step()
    assert torch.equal(first, torch.get_rng_state())
    for name, value in left.state_dict().items():
        assert torch.equal(value, right.state_dict()[name]), name
    assert all(module.training for module in left.modules())


def test_the_teacher_stays_dense_and_where_it_was() -> None:
    prune = {"type": "prune", "start": "2st", "end": "5st", "every": "1st", "sparsity": 0.8}
    loop = Loop({"prune": prune, "d": TEACH}, total=8).run(2)
    kept = copy.deepcopy(loop.engine.state.snapshots["d"]["tensors"])
    assert all(bool((tensor != 0).all()) for name, tensor in kept.items() if "weight" in name)
    loop.run()
    now = loop.engine.state.snapshots["d"]["tensors"]
    assert all(torch.equal(tensor, now[name]) for name, tensor in kept.items())
    assert loop.engine.sparsity > 0.79


def test_rewinding_keeps_the_teacher() -> None:
    rounds = {"type": "iterative_prune", "rounds": 2, "every": "3st"}
    loop = Loop({"imp": rounds, "d": {**TEACH, "start": "2st"}}).run(2)
    kept = copy.deepcopy(loop.engine.state.snapshots["d"]["tensors"])
    loop.run()
    now = loop.engine.state.snapshots["d"]["tensors"]
    assert all(torch.equal(tensor, now[name]) for name, tensor in kept.items())


def test_it_lets_go_at_the_end() -> None:
    loop = Loop({"d": {**TEACH, "end": "4st"}}, total=6)
    watched = []
    while loop.clock < 6:
        watched.append(len(loop.model._forward_hooks))
        loop.step()
    assert watched == [0, 0, 1, 1, 0, 0]
    assert loop.engine.state.snapshots == {}


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt", "-lightning.ckpt"])
def test_a_teacher_from_a_file_is_that_of_a_snapshot(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = f"dense{suffix}"
    tensors = small_net().state_dict()
    if suffix == ".safetensors":
        save_file(tensors, file)
    else:
        torch.save(tensors if suffix == ".ckpt" else {"epoch": 1, "state_dict": tensors}, file)
    one, other = (
        Loop({"d": {**TEACH, "start": "0st", **fields}}, total=5).run()
        for fields in ({"teacher": file}, {})
    )
    assert one.everything() == other.everything()


def test_tied_weights_are_taught_by_the_teachers() -> None:
    """The head's weight is known by its first name, which is outside of the head."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.head = nn.Linear(4, 4), nn.Linear(4, 4)
            self.head.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.first(x).relu())

    net = Tied()
    optimizer = torch.optim.SGD(net.parameters(), 0.5)
    pruning = pruneflow.prune(
        net, recipe(start="0st", output="head"), steps_per_epoch=3, optimizer=optimizer
    )
    teacher = copy.deepcopy(net)
    with torch.no_grad():
        net.first.weight.mul_(2)
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    inner = net.first(x).relu()
    scores = net.head(inner)
    found = pruning.loss(scores.sum())
    expected = 0.4 * scores.sum() + 0.6 * soft_loss(scores, teacher.head(inner), 3.0)
    torch.testing.assert_close(found, expected)
    pruning.let_go()


def test_copies_and_saved_networks_are_not_watched() -> None:
    net = Net()
    pruning, _ = begun(net)
    twin = copy.deepcopy(net)
    buffer = io.BytesIO()
    torch.save(net, buffer)
    net(batch(0)[0])
    twin(batch(1)[0])
    assert float(pruning.loss(torch.zeros((), requires_grad=True)).detach()) > 0
    twin(batch(1)[0])
    with pytest.raises(TrainingError, match="was not called in this batch"):
        pruning.loss(torch.zeros((), requires_grad=True))


# -- mistakes ------------------------------------------------------------------------------


def test_a_loop_that_does_not_pass_its_loss_is_told() -> None:
    net = Net()
    pruning, optimizer = begun(net, 2)
    F.cross_entropy(net(batch(2)[0]), batch(2)[1]).backward()
    optimizer.step()
    with pytest.raises(TrainingError, match=r"modifiers\.d: .* write pruning\.loss\(loss\)\.back"):
        pruning.step()


def test_outputs_that_are_no_logits_are_refused_by_shape() -> None:
    net = Net()
    pruning, _ = begun(net)
    flat = net.head.register_forward_hook(lambda module, args, output: output.sum())
    net(batch(3)[0])
    with pytest.raises(TrainingError, match=r"gives a float64 of shape \[\]: 'output:' names"):
        pruning.loss(torch.zeros((), requires_grad=True))
    flat.remove()


def test_a_loss_without_a_graph_is_left_alone() -> None:
    pruning, _ = begun(Net())
    loss = torch.tensor(2.0)
    assert pruning.loss(loss) is loss


def test_a_network_that_has_changed_its_shapes_is_told() -> None:
    net = Net()
    pruning, _ = begun(net)
    net.head = nn.Linear(8, 2).double()
    with pytest.raises(TrainingError, match=r"'head\.weight' has another shape than the \[2, 8\]"):
        net(batch(3)[0])
    pruning.let_go()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"output": "heed"}, r"modifiers\.d\.output: .* no module 'heed'. Did you mean 'head'"),
        ({"hints": "fc1", "hint_weight": 1}, r"modifiers\.d\.hints: 'fc1' matches no module"),
        (
            {"hints": "body", "hint_weight": 1, "output": "head"},
            r"hints: 'body' matches no module of the output's",
        ),
        ({"teacher": "none.ckpt"}, r"modifiers\.d\.teacher: no file 'none.ckpt'"),
        ({"teacher": "other.safetensors"}, "of another network: it has no 'body.0.weight'"),
        ({"teacher": "shape.safetensors"}, r"'head.bias' has shape \[4\], and this one's \[3\]"),
        ({"teacher": "code.ckpt"}, "'code.ckpt' holds more than tensors and plain values"),
        ({"teacher": "junk.safetensors"}, "'junk.safetensors' holds no plain tensors: "),
        ({"end": "1st"}, r"modifiers\.d\.end: the end \(step 1\) is not after"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_plan(
    fields: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file({"fc1.weight": torch.zeros(2)}, "other.safetensors")
    save_file({**Net().state_dict(), "head.bias": torch.zeros(4)}, "shape.safetensors")
    torch.save({"state_dict": Net()}, "code.ckpt")
    Path("junk.safetensors").write_bytes(b"junk")
    optimizer = torch.optim.SGD(Net().parameters(), 0.1)
    with pytest.raises(PlanError, match=message):
        pruneflow.prune(Net(), recipe(**fields), steps_per_epoch=3, optimizer=optimizer)


def test_two_teachers_take_turns() -> None:
    both = {"d": {**TEACH, "end": "4st"}, "e": {**TEACH, "start": "d.end"}}
    Loop(both, total=6).run()
    both["e"]["start"] = "3st"
    with pytest.raises(PlanError, match=r"modifiers\.e: the loss has two owners: 'd' \(steps 2"):
        Loop(both, total=6)


def test_hints_and_their_weight_go_together() -> None:
    for fields in ({"hints": ["body"]}, {"hint_weight": 0.1}):
        with pytest.raises(RecipeError, match="'hint_weight' and 'hints' go together"):
            recipe(**fields)


@pytest.mark.parametrize(
    "path",
    ["/etc/a.ckpt", "../a.ckpt", "a/../../b.ckpt", "~/a.ckpt", "C:\\a.ckpt", "a.pt", 3, "a\n.ckpt"],
)
def test_a_recipe_names_no_file_elsewhere(path: Any) -> None:
    with pytest.raises(RecipeError, match=r"modifiers\.d\.teacher: "):
        recipe(teacher=path)
    assert TensorFile().parse("runs/a-b/dense..v2.ckpt") == "runs/a-b/dense..v2.ckpt"


# -- what a forward may do -----------------------------------------------------------------


class Restless(nn.Module):
    """Scales its input in place, counts, drops by chance whatever its mode, keeps a loss."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(6, 3)
        self.double()
        self.register_buffer("calls", torch.zeros(()))
        self.penalty = torch.zeros(())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        scores: torch.Tensor = self.head(x.div_(10))
        self.penalty = F.dropout(scores).square().mean()
        return scores


def test_a_forward_that_leaves_traces_leaves_the_students_alone() -> None:
    net = Restless()
    pruning, _ = begun(net, 2, temperature=1.0, alpha=1.0)
    before = net.calls.clone()
    kept = pruning.engine.state.snapshots["d"]["tensors"]["calls"].clone()
    torch.manual_seed(3)
    scores = net(batch(4)[0])
    drawn = torch.get_rng_state()
    total = pruning.loss(scores.sum()).detach()
    assert float(total) == pytest.approx(0, abs=1e-12), "the same input"
    assert net.penalty.requires_grad, "the student's"
    assert torch.equal(net.calls, before + 1)
    assert torch.equal(pruning.engine.state.snapshots["d"]["tensors"]["calls"], kept)
    torch.manual_seed(3)
    with torch.no_grad():
        net(batch(4)[0])
    assert torch.equal(torch.get_rng_state(), drawn), "the teacher draws nothing"


def test_classes_that_are_ruled_out_add_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(4, 5, generator=generator) for _ in range(2))
    ours.requires_grad_()
    out = torch.tensor([False, False, True, False, True])
    masked = [logits.masked_fill(out, -torch.inf) for logits in (ours, theirs)]
    found = soft_loss(masked[0], masked[1], 2.0)
    (gradient,) = torch.autograd.grad(found, ours)
    plain = soft_loss(ours[:, ~out], theirs[:, ~out], 2.0)
    (expected,) = torch.autograd.grad(plain, ours)
    torch.testing.assert_close((found, gradient), (plain, expected))


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants:UserWarning")  # torch's
@pytest.mark.parametrize(
    "change",
    [
        lambda tensor: tensor.to("meta"),
        lambda tensor: tensor.to_sparse(),
        lambda tensor: tensor.to(torch.complex64),
        lambda tensor: tensor.to(torch.int8),
        lambda tensor: tensor * torch.nan,
    ],
    ids=["meta", "sparse", "complex", "integers", "nan"],
)
def test_tensors_that_no_network_can_run_on_are_refused(
    change: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({name: change(part) for name, part in Net().state_dict().items()}, "odd.ckpt")
    with pytest.raises(PlanError, match=r"'odd\.ckpt' holds no teacher: its 'body\.0\.weight'"):
        begun(Net(), 0, teacher="odd.ckpt")


@pytest.mark.parametrize(
    ("name", "message"),
    [("empty.ckpt", "it is no file of torch.save"), (f"{'x' * 300}.ckpt", "no file 'xxx")],
)
def test_files_that_cannot_be_read_are_refused(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.ckpt").touch()
    with pytest.raises(PlanError, match=message):
        begun(Net(), 0, teacher=name)
