"""The one loop: it trains a network, and if the network is a space and a strategy is given, searches it."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from nasp_core.errors import ResumeError, SearchError
from nasp_core.evaluation import better, evaluate
from nasp_core.network import Network, Space
from nasp_core.optimise import Training, autocast, average, averaged, put_back
from nasp_core.state import pack, resumed
from nasp_core.strategy import Hook, SearchView, StepContext, Strategy, frozen
from nasp_core.types import Batch, Mixture, Phase, State, Task, derive_seed

__all__ = ["Loop", "Observer", "Passing"]


def _added(one: Tensor | None, two: Tensor | None) -> Tensor | None:
    return two if one is None else one if two is None else one + two


class Observer:
    """Told what happens; the base does nothing. Subclass it to show progress and to save checkpoints."""

    def stage(self, name: str) -> None:
        """Show which stage of a longer work begins."""

    def note(self, text: str) -> None:
        """Show a sentence about what is done: what it will take, or why it ends."""

    def started(self, what: str, steps: int, done: int) -> None:
        """Show that `what` begins, with its number of steps and those done before (when resumed)."""

    def stepped(self) -> None:
        """Show that a step is done."""

    def logged(self, record: dict[str, Any]) -> None:
        """Receive one line of the trace."""

    def checkpoint_due(self) -> bool:
        """Return whether the state should be saved now; asked after every step."""
        return False

    def save(self, packed: State) -> None:
        """Save a packed state (plain tensors, numbers, strings)."""


class Passing(Observer):
    """Passes on to another observer what is to be shown; what is to be saved stays with the subclass."""

    def __init__(self, outer: Observer) -> None:
        self.outer = outer

    def started(self, what: str, steps: int, done: int) -> None:
        """Pass it on."""
        self.outer.started(what, steps, done)

    def stepped(self) -> None:
        """Pass it on."""
        self.outer.stepped()

    def logged(self, record: dict[str, Any]) -> None:
        """Pass it on."""
        self.outer.logged(record)


@contextmanager
def _flushed_denormals() -> Iterator[None]:
    """Treat numbers below 1e-38 as zero within the block, and put the processor back as it was.

    Regularised embeddings fade towards zero, and arithmetic on denormal numbers is a hundred times slower.
    """
    tiny = torch.full((1,), 1e-39)
    flushing = float((tiny * 1.0)[0]) == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushing)


class Loop:
    """Trains weights on the training split and, with a strategy, the architecture on the validation split.

    Each step: (1) an architecture step, if there is a strategy and its schedules allow; (2) a weight step
    under the mixture of the weight phase. Everything that evolves is in `self.state`; `resume` puts back a
    state that an observer saved, at any step, and the run then ends bit-equal to one never stopped.
    """

    def __init__(
        self,
        network: Network,
        task: Task,
        training: Training,
        *,
        strategy: Strategy | None = None,
        seed: int = 0,
        observer: Observer | None = None,
        fresh: bool = True,
        label: str = "train",
        mixture: Mixture | None = None,
        hooks: Sequence[Hook] = (),
        stop: int | None = None,
    ) -> None:
        """Prepare the state of a training or a search.

        Args:
            network: What is trained; with a strategy a `Space`.
            task: Batches on the network's device, loss and metric.
            training: The schedule, batch size and optimiser.
            strategy: How alpha learns; None: the weights alone are trained.
            seed: Of every draw.
            observer: Shows progress, receives the trace, and saves states.
            fresh: Whether the weights are drawn anew.
            label: What the trace calls it; part of every seed.
            mixture: Without a strategy, what a space is trained under.
            hooks: Without a strategy, those attached already: they say which weights are trained.
            stop: After how many of the schedule's epochs to end; None: after all.

        Raises:
            SearchError: A strategy without a space, or a schedule that a search cannot follow.
        """
        self.network, self.task, self.strategy = network, task, strategy
        self.observer, self.label, self.seed = observer or Observer(), label, seed
        self.mixture = mixture
        generator = torch.Generator().manual_seed(derive_seed(seed, label))
        if strategy is not None:
            self._attach(strategy)
        if fresh:
            network.reset(generator)
        self.weights, self.continuous = network.weights(), network.continuous()
        for hook in hooks if strategy is None else strategy.hooks:
            assert isinstance(network, Space)
            self.weights = hook.trained(network, self.weights)
        self.device = self.weights[0].device
        self.optimiser = training.optimiser.create(self.weights, together=strategy is None)
        self.stream = task.stream("train", training.batch_size, derive_seed(seed, label, "train"))
        self.valid = task.stream("valid", training.batch_size, derive_seed(seed, label, "valid"))
        self.training = training = training.stretched(len(self.stream))
        self.steps = training.epochs * len(self.stream)
        self.last = self.steps if stop is None else min(self.steps, stop * len(self.stream))
        # a search steps under many mixtures; an average, and a compiled graph, are of all rows
        whole = strategy is not None or mixture is not None or training.average_after is not None or training.compile
        self.rows = training.optimiser.rows([] if whole else network.row_tables(self.stream), self.steps)
        self.state = self._first_state(generator)
        if strategy is not None:
            if training.keep_best:
                raise SearchError("keep_best belongs to the final training: a search would mix two epochs' alpha")
            if training.compile:
                raise SearchError("compile belongs to the final training: a search changes its graph in every step")
            if training.average_after is not None:
                raise SearchError("average_after belongs to the final training: alpha learns from the present weights")
            alpha = strategy.domain.init(self.space, generator, self.device)
            schedules = {str(number): schedule.init() for number, schedule in enumerate(strategy.schedules)}
            self.state.update(alpha=alpha, relax=strategy.relax.init(), schedules=schedules)
            self.state["gradient"] = strategy.gradient.init(alpha, self.space)

    def _first_state(self, generator: torch.Generator) -> State:
        """Return all that changes, as it is before the first step."""
        return {
            "made_by": self._made_by(),
            "step": 0,
            "seconds": 0.0,
            "loss": torch.zeros((), device=self.device),
            "trained": 0,
            "network": self.network,
            "optimiser": self.optimiser,
            "rows": self.rows.state,
            "generator": generator,
            "global_rng": None,
            "device_rng": None,
            "hidden": {},
            "average": None,
            "alpha": {},
            "relax": {},
            "gradient": {},
            "schedules": {},
            "best": None,
            "finals": {},
            "stale": 0,
            "trace": [],
        }

    def _attach(self, strategy: Strategy) -> None:
        """Give the space this strategy's hooks in place of those of an earlier search."""
        if not isinstance(self.network, Space):
            raise SearchError("a strategy needs a space: a network without choices can only be trained")
        self.space = self.network
        for attached in reversed(self.space.attached):
            attached.detach()
        self.space.attached = tuple(hook.attach(self.space) for hook in strategy.hooks)

    def _made_by(self) -> str:
        """Return what must be the same for a saved state to go on: label, seed, training, strategy."""
        parts = None if self.strategy is None else self.strategy.describe()
        return f"{self.label}; seed {self.seed}; {self.training}; {parts}"

    def resume(self, packed: State) -> None:
        """Go on from a packed state; raises `ResumeError` when it is of another search."""
        if self.rows.state and not packed.get("rows"):
            raise ResumeError("saved state is of a training of whole tables, and this one is by rows; start afresh")
        resumed(self.state, packed)

    def run(self) -> State:
        """Run to the end (or to early stopping) and return the state."""
        began = time.perf_counter() - self.state["seconds"]
        self.observer.started(self.label, self.last, self.state["step"])
        self.network.train()
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), _flushed_denormals():
            self._seed_globally()
            while self.state["step"] < self.last and not self._stopped():
                self._step(self.state["step"])
                self.state["step"] += 1
                if self.state["step"] % len(self.stream) == 0:
                    self._end_epoch(self.state["step"] // len(self.stream))
                self.state["seconds"] = time.perf_counter() - began
                self.observer.stepped()
                if self.observer.checkpoint_due():
                    self.save()
        for attached in self.space.attached if self.strategy is not None else ():
            attached.advance(1.0)
        self.rows.settle()
        averaged(self.weights, self.state["average"])
        if self.training.keep_best and self.state["best"] is not None:
            self.network.load_state_dict(self.state["best"]["weights"])
        self.network.eval()
        return self.state

    def _seed_globally(self) -> None:
        """Set torch's global generators, which dropout draws from: anew, or as the saved state left them."""
        if self.state["global_rng"] is None:
            torch.manual_seed(derive_seed(self.seed, self.label, "global"))
            return
        if self.device.type == "cuda" and self.state["device_rng"] is None:  # saved on a CPU
            torch.cuda.manual_seed(derive_seed(self.seed, self.label, "global", self.state["step"]))
        elif self.device.type == "cuda":
            torch.cuda.set_rng_state(self.state["device_rng"], self.device)
        torch.set_rng_state(self.state["global_rng"])

    def save(self) -> None:
        """Give the observer a packed state to go on from."""
        if self.state["step"] < self.last:
            self.state["global_rng"] = torch.get_rng_state()
            if self.device.type == "cuda":
                self.state["device_rng"] = torch.cuda.get_rng_state(self.device)
        self.observer.save(pack(self.state))

    def _stopped(self) -> bool:
        return self.training.patience is not None and self.state["stale"] >= self.training.patience

    def _paths(self, phase: Phase) -> Sequence[Mixture | None]:
        """Return the mixtures of a phase; of a plain network the one that it was given, or None."""
        if self.strategy is None:
            return (self.mixture,)
        made = self.state["alpha"], self.space, phase, self.state["relax"], self.state["generator"]
        relax = self.strategy.relax
        return (relax.mixture(*made),) if phase == "valid" else relax.paths(*made)

    def _step(self, step: int) -> None:
        progress = step / self.steps
        rate = self.training.optimiser.rate(progress)
        batch = self.stream.batch(step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * batch.scale
        self.network.set_progress(progress)
        hidden = self._hidden(step)
        schedules = () if self.strategy is None else self.strategy.schedules
        if self.strategy is not None:
            view = self._advance(self.strategy, step, progress)
            if all(schedule.arch_step_due(step, progress) for schedule in schedules):
                self._architecture_step(self.strategy, view, batch, rate, hidden)
        if not all(schedule.weight_step_due(step, progress) for schedule in schedules):
            return
        with frozen(self.continuous):
            self._carry("train", self._weight_step(batch, hidden.get("train")))

    def _advance(self, strategy: Strategy, step: int, progress: float) -> SearchView:
        """Advance schedules and hooks to a step, and return what they see of the search."""
        state = self.state
        view = SearchView(
            self.space, state["alpha"], state["relax"], step, progress, strategy.relax, epoch_steps=len(self.stream)
        )
        for number, schedule in enumerate(strategy.schedules):
            schedule.advance(view, self.state["schedules"][str(number)])
        for attached in self.space.attached:
            attached.advance(progress)
        return view

    def _architecture_step(
        self, strategy: Strategy, view: SearchView, batch: Batch, rate: float, hidden: dict[str, Tensor]
    ) -> None:
        context = StepContext(
            space=self.network,
            task=self.task,
            alpha=self.state["alpha"],
            mixture=lambda: self._paths("arch")[0] or Mixture(),
            train=batch,
            valid=self.valid.batch(view.step),
            optimiser=self.training.optimiser,
            weight_state=self.optimiser,
            learning_rate=rate,
            weights=self.weights,
            hidden=hidden,
            penalty=lambda mixture: self._penalty(strategy, mixture, view),
            paths=lambda: [path for path in self._paths("arch") if path is not None],
            relax_state=self.state["relax"],
            step=view.step,
            progress=view.progress,
            generator=self.state["generator"],
        )
        with autocast(self.device, self.training.precision):
            strategy.gradient.step(context, self.state["gradient"])
        strategy.domain.retract(self.state["alpha"])
        for number, schedule in enumerate(strategy.schedules):
            schedule.learned(view, self.state["schedules"][str(number)])
        self._carry("valid", context.hidden_out)

    def _hidden(self, step: int) -> dict[str, Tensor]:
        """Return the hidden state that a step begins with, per stream; none where a pass begins."""
        streams = {"train": self.stream, "valid": self.valid}
        kept: dict[str, Tensor] = self.state["hidden"]
        return {name: hidden.to(self.device) for name, hidden in kept.items() if step % len(streams[name])}

    def _carry(self, name: str, hidden: Tensor | None) -> None:
        if hidden is not None:
            self.state["hidden"][name] = hidden

    def _penalty(self, strategy: Strategy, mixture: Mixture, view: SearchView) -> Tensor | None:
        states = self.state["schedules"]
        terms = [schedule.penalty(mixture, view, states[str(i)]) for i, schedule in enumerate(strategy.schedules)]
        present = [term for term in terms if term is not None]
        return sum(present[1:], present[0]) if present else None

    def _weight_step(self, batch: Batch, hidden: Tensor | None = None) -> Tensor | None:
        """Train the weights on a batch; return the hidden state after it."""
        mixtures = self._paths("weight")
        summed: tuple[Tensor | None, ...] | None = None
        after: Tensor | None = None
        for mixture in mixtures:  # one graph at a time
            with self.rows.reading():
                with autocast(self.device, self.training.precision):
                    loss, penalty, after = self.network.training_loss(batch, mixture, self.task.loss, hidden)
                self.state["loss"] += loss.detach() / len(mixtures)
                total = loss if penalty is None else loss + penalty
                total = total if len(mixtures) == 1 else total / len(mixtures)
                grads = torch.autograd.grad(total, self.weights, allow_unused=True)
            summed = grads if summed is None else tuple(map(_added, summed, grads))
        assert summed is not None
        self.training.optimiser.apply(self.optimiser, self.weights, summed, self.rows)
        for mixture in mixtures:
            self.network.project_weights(mixture)
        average(self.weights, self.state["average"])
        self.state["trained"] += 1
        return after

    def _end_epoch(self, epoch: int) -> None:
        loss = float(self.state["loss"]) / max(1, self.state["trained"])
        self.state["loss"].zero_()
        trained, self.state["trained"] = self.state["trained"], 0
        if not math.isfinite(loss):
            rate = self.training.optimiser.learning_rate
            raise SearchError(
                f"the {self.label} loss stopped being finite in epoch {epoch} (learning rate {rate}); "
                f"lower the learning rate, or set a gradient clip"
            )
        record: dict[str, Any] = {"phase": self.label, "epoch": epoch}
        if trained:
            record["loss"] = loss
        every = self.training.evaluate_every
        if every and (epoch % every == 0 or epoch == self.training.epochs):
            metrics = self._validate()
            if not math.isfinite(metrics[self.task.metric]):
                raise SearchError(f"the validation {self.task.metric} of {self.label} is not finite in epoch {epoch}")
            record["valid"] = metrics
            self._keep_best(metrics, epoch)
            self._begin_to_average(metrics)
        if self.strategy is not None:
            record["alpha"] = {name: tensor.tolist() for name, tensor in self.state["alpha"].items()}
        self.state["trace"].append(record)
        self.observer.logged(record)

    def _validate(self) -> dict[str, float]:
        """Return the validation metrics, of the averaged weights where there are some."""
        self.rows.settle()
        present = averaged(self.weights, self.state["average"])
        try:
            return evaluate(self.network, self.task, self._paths("valid")[0], precision=self.training.precision)
        finally:
            put_back(self.weights, present)

    def _begin_to_average(self, metrics: dict[str, float]) -> None:
        """Begin to average when validation is worse than its best of `average_after` or more validations ago."""
        window, metric = self.training.average_after, metrics[self.task.metric]
        earlier = [record["valid"][self.task.metric] for record in self.state["trace"] if "valid" in record]
        if window is None or self.state["average"] is not None or len(earlier) <= window:
            return
        best = (max if self.task.maximise else min)(earlier[:-window])
        if better(self.task, best, metric):
            self.state["average"] = {"count": 0, "weights": [w.detach().clone() for w in self.weights]}

    def _keep_best(self, metrics: dict[str, float], epoch: int) -> None:
        metric, best = metrics[self.task.metric], self.state["best"]
        if best is not None and not better(self.task, metric, best["metrics"][self.task.metric]):
            self.state["stale"] += 1
            return
        self.state["stale"] = 0
        self.state["best"] = {"epoch": epoch, "metrics": metrics}
        if self.training.keep_best:
            present = averaged(self.weights, self.state["average"])
            self.state["best"]["weights"] = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
            put_back(self.weights, present)
