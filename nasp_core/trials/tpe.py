"""Tree-structured Parzen estimators, through Optuna.  Bergstra et al., NIPS 2011."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from nasp_core.network import Space
from nasp_core.strategy import Paper
from nasp_core.trials.budgeted import Budgeted, Memo, known_keys
from nasp_core.trials.from_optuna import new_study, optuna, quiet
from nasp_core.trials.points import active_of, fresh_point, point_of, tokens_of, vocabulary
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import Active, State, derive_seed

__all__ = ["Tpe"]

PAPER = Paper(
    title="Algorithms for Hyper-Parameter Optimization",
    authors="James Bergstra, Rémi Bardenet, Yoshua Bengio, Balázs Kégl",
    venue="Advances in Neural Information Processing Systems",
    year=2011,
)


@dataclass(frozen=True, kw_only=True)
class Tpe(Budgeted):
    """Model what good points and what the rest choose, and try what the good ones choose more often.

    Parts: Optuna's `TPESampler` over one categorical parameter a choice; the first `startup` points are random, each
    later one is the best of `candidates` draws by the ratio of the two densities (Bergstra et al. 2011, section 4);
    `multivariate` models the choices together instead of each alone.
    Shapes: one categorical value a choice; a score a point.
    Departs from the paper: whatever Optuna's sampler does otherwise; in a space that drops choices, "dropped" is one
    more value, and the point nearest to what was drawn is trained and put on record (`point_of`); a known point is
    drawn again. Fails when: choices matter only together, which the choices each alone do not see. Needs Optuna (extra
    `optuna`): without it `init` raises `SearchError`.
    """

    startup: int = 10
    candidates: int = 24
    multivariate: bool = True
    name: str = "tpe"
    papers: tuple[Paper, ...] = (PAPER,)

    least: ClassVar[dict[str, float]] = {"trials": 1, "startup": 1, "candidates": 1}

    def begin(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return the seed of all draws."""
        optuna(self.name)
        return {"seed": int(torch.randint(2**31, (), generator=generator)), "study": Memo()}

    def propose(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the sampler's draw; another one where it is known, at last a random point."""
        known, number = known_keys(state), len(state["results"])
        study = self._study(context, state)
        library = optuna(self.name)

        def draw() -> Active:
            attempts.append(number)
            study.sampler = library.samplers.TPESampler(
                n_startup_trials=self.startup,
                n_ei_candidates=self.candidates,
                multivariate=self.multivariate,
                constant_liar=False,
                seed=derive_seed(state["seed"], number, len(attempts)) % 2**32,
            )
            with quiet(library):
                trial = study.ask(_parameters(library, context.space))
                study.tell(trial, state=library.trial.TrialState.FAIL)  # what is trained is added with its score
            tokens = [trial.params[name] for name in _parameters(library, context.space)]
            return point_of(context.space, tokens, state["generator"])

        attempts: list[int] = []
        active = fresh_point(context.space, known, state["generator"], draw, tries=10)
        return None if active is None else Proposal(active)

    def _study(self, context: SearchContext, state: State) -> Any:
        """Return the study of all results; it grows with the history."""
        library, memo = optuna(self.name), state["study"]
        if memo.value is None:
            memo.value = [new_study(library), 0]
        study, done = memo.value
        parameters = _parameters(library, context.space)
        for each in state["results"][done:]:
            tokens = tokens_of(context.space, active_of(each["point"]))
            params = dict(zip(parameters, tokens, strict=True))
            study.add_trial(
                library.trial.create_trial(params=params, distributions=parameters, value=float(each["score"]))
            )
        memo.value[1] = len(state["results"])
        return study


def _parameters(library: Any, space: Space) -> dict[str, Any]:
    """Return Optuna's description of the choices: a categorical parameter each."""
    sizes = vocabulary(space)
    return {f"choice {n}": library.distributions.CategoricalDistribution(range(size)) for n, size in enumerate(sizes)}
