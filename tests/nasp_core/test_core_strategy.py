"""Strategies: what fits, what does not and why, names, citations."""

import inspect
from dataclasses import dataclass
from typing import ClassVar

import pytest
from torch import Tensor

from nasp_core.errors import ResumeError, StrategyError
from nasp_core.methods import STRATEGIES, make_strategy
from nasp_core.methods.darts_2nd import Unrolled
from nasp_core.methods.nasp import nasp
from nasp_core.methods.nasp_ranked import Ranking
from nasp_core.parts import Argmax, Box, FairTurns, FirstOrder, Logits, OneHot, Pinned, Softmax
from nasp_core.strategy import Domain, Paper, Relax, Schedule, StepContext, Strategy
from nasp_core.testing import Subject, conform
from nasp_core.testing.cases import QUADRATIC
from nasp_core.trials import TRIALS


@dataclass(frozen=True)
class Nothing(Relax):
    """Gives nothing."""


@dataclass(frozen=True)
class Needy(Domain):
    """Needs what nobody gives."""

    needs: ClassVar[dict[str, str]] = {"magic": "there is none"}


def test_unrolling_cannot_follow_one_hot() -> None:
    with pytest.raises(StrategyError) as error:
        Strategy(Box(), OneHot(), Unrolled(), Argmax())
    assert str(error.value) == (
        "these parts do not fit (domain = Box, relax = OneHot, gradient = Unrolled, select = Argmax):\n"
        "  gradient = Unrolled(lr=0.0003, betas=(0.9, 0.999), weight_decay=0.0, continuous_lr=None, virtual_lr=None, "
        "radius=0.01) lacks 'smooth': unrolling differentiates through the weight step, and a one-hot choice has no "
        "gradient there; use gradient = FirstOrder (the paper's), or relax = Softmax"
    )


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(StrategyError) as error:
        Strategy(Needy(), Nothing(), FirstOrder(), Argmax())
    assert str(error.value) == (
        "these parts do not fit (domain = Needy, relax = Nothing, gradient = FirstOrder, select = Argmax):\n"
        "  domain = Needy() lacks 'magic': there is none\n"
        "  gradient = FirstOrder(lr=0.0003, betas=(0.9, 0.999), weight_decay=0.0, continuous_lr=None) lacks "
        "'gradient or pinned': a path-wise gradient needs a mixture that alpha's gradient reaches; "
        "use relax = OneHot or Softmax"
    )


@pytest.mark.parametrize("relax", [FairTurns(), Softmax(), OneHot()])
def test_what_fits_is_accepted(relax: Relax) -> None:
    assert Strategy(Box(), relax, FirstOrder(), Argmax()).relax == relax
    assert Strategy(Logits(), Softmax(), Unrolled(), Ranking()).name == "custom"


def test_a_relaxation_that_alphas_gradient_does_not_reach_gives_no_gradient() -> None:
    assert "gradient" not in Pinned(()).gives
    with pytest.raises(StrategyError, match=r"gradient = Unrolled\(.*\) lacks 'gradient': .*\n.* lacks 'smooth': "):
        Strategy(Box(), Pinned(()), Unrolled(), Argmax())
    pinned = Strategy(Box(), Pinned(()), FirstOrder(), Argmax())
    assert pinned.relax == Pinned(()), "first order needs a gradient or a pinned point: the continuous parameters learn"


@dataclass(frozen=True)
class Warm(Schedule):
    """Needs warmth or magic, and gives light."""

    steps: int = 3

    gives: ClassVar[frozenset[str]] = frozenset({"light"})
    needs: ClassVar[dict[str, str]] = {"warmth|magic": "it is cold; light a fire"}


@dataclass(frozen=True)
class Dark(Argmax):
    """Needs the light of a schedule, and gives warmth."""

    gives: ClassVar[frozenset[str]] = frozenset({"warmth"})
    needs: ClassVar[dict[str, str]] = {"light": "it is dark; use a schedule"}


@dataclass(frozen=True)
class Magic(Box):
    """Gives magic."""

    gives: ClassVar[frozenset[str]] = frozenset({"magic"})


def test_a_schedule_is_checked_like_every_part() -> None:
    with pytest.raises(StrategyError) as error:
        Strategy(Box(), OneHot(), FirstOrder(), Argmax(), schedules=(Warm(), Warm(5)))
    assert str(error.value) == (
        "these parts do not fit (domain = Box, relax = OneHot, gradient = FirstOrder, select = Argmax, "
        "schedule 0 = Warm, schedule 1 = Warm):\n"
        "  schedule 0 = Warm(steps=3) lacks 'warmth or magic': it is cold; light a fire\n"
        "  schedule 1 = Warm(steps=5) lacks 'warmth or magic': it is cold; light a fire"
    )
    with pytest.raises(StrategyError, match=r"  select = Dark\(\) lacks 'light': it is dark; use a schedule$"):
        Strategy(Box(), OneHot(), FirstOrder(), Dark())


def test_either_of_two_needs_is_enough() -> None:
    for domain, select in ((Magic(), Argmax()), (Box(), Dark()), (Magic(), Dark())):
        fits = Strategy(domain, OneHot(), FirstOrder(), select, schedules=(Warm(), Warm(5)))
        assert fits.describe()["schedules"] == f"{__name__}:Warm(steps=3), {__name__}:Warm(steps=5)"


def test_describe_is_the_text_that_makes_the_parts() -> None:
    strategy = nasp(alpha_lr=0.5)
    described = strategy.describe()
    scope = {part.__name__: part for part in (Box, OneHot, FirstOrder, Argmax)}
    assert list(described) == ["domain", "relax", "gradient", "select"]
    for role, text in described.items():
        assert eval(text, {}, scope) == getattr(strategy, role)


@pytest.mark.parametrize("name", STRATEGIES)
def test_names_in_the_table_are_the_strategies_own(name: str) -> None:
    strategy = make_strategy(name)
    assert strategy.name == name
    assert all(isinstance(paper, Paper) for paper in strategy.papers)


SETTINGS: list[tuple[str, dict[str, object]]] = [
    ("nasp", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3, "noise": 0.4}),
    ("nasp-ranked", {"alpha_lr": 0.5, "noise": 0.4, "finalists": 2, "epoch_divisor": 7.0}),
    (
        "nasp-shortlist",
        {"alpha_lr": 0.5, "noise": 0.4, "n_supernet_evals": 77, "finalists": 5, "epoch_divisor": 7.0, "keep": 1},
    ),
    ("darts", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3}),
    ("darts-2nd", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3, "virtual_lr": 0.9}),
    ("snas", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3, "start": 2.5, "end": 0.25, "eta": 0.75}),
    ("gdas", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3, "start": 2.5, "end": 0.25}),
    ("drnas", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "prior": 0.75, "keep": 2, "share": 3}),
    ("gaea", {"alpha_lr": 0.5, "floor": 0.25, "noise": 0.4}),
    ("asng", {"rate": 0.5, "samples": 7, "trust": 2.5}),
    ("balenas", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "precision": 7.0, "data": 77.0}),
    ("bayesnas", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "relevance": 0.75, "threshold": 0.25}),
    (
        "msg-das",
        {
            "alpha_lr": 0.5,
            "betas": (0.1, 0.2),
            "weight_decay": 0.3,
            "samples": 3,
            "start": 2.5,
            "end": 0.25,
            "drop": 0.75,
        },
    ),
    ("rarts", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3, "coupling": 0.75, "share": 0.25}),
    ("amended-darts", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3, "amendment": 0.75}),
    ("gold-nas", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "eta": 0.75, "threshold": 0.25, "noise": 0.4}),
    (
        "asap",
        {"alpha_lr": 0.5, "betas": (0.1, 0.2), "start": 2.5, "end": 0.25, "first": 0.75, "last": 0.95, "warmup": 0.375},
    ),
    ("tnd-nas", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "samples": 7, "baseline": 0.75, "eta": 0.25, "keep": (2, 1)}),
    ("darts-pt", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3, "tune": 3}),
    ("shapley", {"rate": 0.5, "momentum": 0.75, "permutations": 7, "every": 9, "exact": 3, "warmup": 0.375}),
    ("freedarts", {"rounds": 7}),
    ("spos", {"n_supernet_evals": 77, "population": 9, "sample": 3}),
    ("fairnas", {"n_supernet_evals": 77, "population": 9, "sample": 3}),
    (
        "greedynas",
        {"draws": 13, "keep": 3, "pool": 17, "greed": 0.75, "n_supernet_evals": 77, "population": 9, "sample": 3},
    ),
    ("na-nas", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3, "radius": 0.75, "samples": 7}),
    ("darts-minus", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3}),
    ("noisy-darts", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3, "factor": 0.75}),
    ("rf-darts", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3}),
    ("pc-darts", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3, "share": 3, "warmup": 0.375}),
    ("entrannas", {"alpha_lr": 0.5, "betas": (0.1, 0.2), "weight_decay": 0.3}),
    (
        "dots",
        {
            "alpha_lr": 0.5,
            "betas": (0.1, 0.2),
            "weight_decay": 0.3,
            "warmup": 0.375,
            "at": 0.75,
            "start": 2.5,
            "end": 0.25,
        },
    ),
    ("random", {"trials": 7}),
    ("enumerate", {"limit": 7}),
    ("evolution", {"trials": 7, "population": 9, "sample": 3}),
    ("local-search", {"trials": 7, "whole": True, "starts": 3}),
    ("reinforce", {"trials": 7, "learning_rate": 0.25, "decay": 0.75, "entropy": 0.125, "hidden": 9}),
    ("tpe", {"trials": 7, "startup": 9, "candidates": 3, "multivariate": False}),
    ("asha", {"trials": 7, "rungs": 4, "reduction": 2}),
    ("weak-predictor", {"trials": 7, "startup": 9, "batch": 3, "top": 8, "pool": 77, "trees": 11}),
    ("bayes-wl", {"trials": 7, "startup": 9, "batch": 3, "pool": 77, "iterations": 1}),
    ("anasod", {"trials": 7, "startup": 9, "batch": 3, "pool": 77, "spread": 0.5}),
    ("screen", {"trials": 7, "proxy": "grad-norm", "pool": 77, "batch_size": 9}),
    (
        "nao",
        {
            "trials": 7,
            "startup": 9,
            "batch": 3,
            "seeds": 8,
            "hidden": 6,
            "epochs": 11,
            "unlabelled": 5,
            "learning_rate": 0.25,
        },
    ),
]


def test_every_strategy_and_every_setting_is_in_that_list() -> None:
    listed = {name: set(settings) for name, settings in SETTINGS}
    parts = {"gradient", "name", "papers"}
    owned = {name: set(inspect.signature(make).parameters) - parts for name, make in STRATEGIES.items()}
    owned["nasp"] -= {"eta"}  # tested with its schedule
    owned["nasp-shortlist"] -= {"trainings"}  # bound to finalists
    assert listed == owned


@pytest.mark.parametrize(
    ("name", "key", "value"), [(name, key, value) for name, kwargs in SETTINGS for key, value in kwargs.items()]
)
def test_every_setting_reaches_a_part(name: str, key: str, value: object) -> None:
    changed = " ".join(make_strategy(name, **{key: value}).describe().values())
    assert changed != " ".join(make_strategy(name).describe().values())
    assert str(value) in changed


@pytest.mark.parametrize("name", TRIALS)
def test_trial_strategies_describe_their_gradient(name: str) -> None:
    assert make_strategy(name, gradient=FirstOrder(lr=0.5)).describe() != make_strategy(name).describe()


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(
        StrategyError, match=r"^unknown strategy 'napsranked'; did you mean 'nasp-ranked'\? There are: "
    ):
        make_strategy("napsranked")
    with pytest.raises(StrategyError, match=r"^strategy 'nasp' has no setting 'alpha_rl'\. Did you mean 'alpha_lr'\?$"):
        make_strategy("nasp", alpha_rl=1)
    with pytest.raises(
        StrategyError, match=r"^strategy 'nasp' has no setting 'q'\. It has: alpha_lr, betas, weight_decay, noise, eta$"
    ):
        make_strategy("nasp", q=1)


def test_the_text_for_a_name_that_is_near_nothing() -> None:
    with pytest.raises(StrategyError) as error:
        make_strategy("zzz")
    assert str(error.value).startswith(f"unknown strategy 'zzz'. There are: {', '.join(STRATEGIES)}; one of your own ")


@dataclass(frozen=True)
class Halved(FirstOrder):
    """A stranger's gradient: half of the first order's."""

    by: float = 2.0

    def loss(self, context: StepContext) -> Tensor:
        return super().loss(context) / self.by


def halved(*, by: float = 2.0) -> Strategy:
    return Strategy(Box(), OneHot(), Halved(by=by), Argmax(), name="halved")


MINE, NO_STRATEGY = halved(), 3


def test_a_strategy_from_outside_goes_by_its_import_path() -> None:
    path = f"{__name__}:halved"
    assert make_strategy(path, by=4.0) == halved(by=4.0)
    assert make_strategy(f"{__name__}:MINE") is MINE
    assert make_strategy(path).describe()["gradient"].startswith(f"{__name__}:Halved(lr=0.0003, ")
    with pytest.raises(StrategyError, match=r"has no setting 'bye'\. Did you mean 'by'"):
        make_strategy(path, bye=1)
    with pytest.raises(StrategyError, match=r"MINE' is made already; it takes no settings: by$"):
        make_strategy(f"{__name__}:MINE", by=1)
    with pytest.raises(StrategyError, match=r"NO_STRATEGY is of type int, no strategy: a one-shot one is"):
        make_strategy(f"{__name__}:NO_STRATEGY")
    with pytest.raises(
        StrategyError, match=r"^builtins:dict is of type dict, no strategy: .* \(it lacks ask, describe, "
    ):
        make_strategy("builtins:dict")
    with pytest.raises(StrategyError, match=r"needs the setting\(s\) domain, relax, gradient, select$"):
        make_strategy("nasp_core.strategy:Strategy")
    for wrong, why in (
        ("no_such_package:thing", "no module"),
        (f"{__name__}:absent", "has no"),
        (":halved", "no name"),
    ):
        with pytest.raises(StrategyError, match=why):
            make_strategy(wrong)


def test_a_part_from_outside_conforms_and_resumes_as_itself_alone() -> None:
    assert conform(halved(), QUADRATIC) == []
    state = Subject(halved(), QUADRATIC).whole.saved[0]
    with pytest.raises(ResumeError, match="the saved state is of another search"):
        Subject(halved(by=3.0), QUADRATIC).search(resume=state)


def test_settings_of_older_recipes_are_read_by_their_new_names() -> None:
    assert make_strategy("nasp-shortlist", looks=9, shorten=2.0) == make_strategy(
        "nasp-shortlist", n_supernet_evals=9, epoch_divisor=2.0
    )
    assert make_strategy("screen", score="ntk") == make_strategy("screen", proxy="ntk")
    with pytest.raises(StrategyError, match="strategy 'nasp' has no setting 'looks'"):
        make_strategy("nasp", looks=9)
    with pytest.raises(StrategyError, match="'looks' is the old name of 'n_supernet_evals'; give one of them"):
        make_strategy("spos", looks=9, n_supernet_evals=8)


def test_bibtex() -> None:
    text = nasp().cite()
    assert text.startswith("@inproceedings{yao2020,\n  title = {Efficient Neural Architecture Search via Proximal Iter")
    assert text.endswith("  year = {2020},\n  eprint = {1905.13577}, archiveprefix = {arXiv}\n}")
    assert "eprint" not in Paper("T", "A B, C D", "V", 2000).bibtex()
    assert len(make_strategy("nasp-ranked").cite().split("\n\n")) == 2  # type: ignore[union-attr]
