"""Published methods as compositions, one a file, and the name table."""

from nasp_core.strategies.amended_darts import amended_darts
from nasp_core.strategies.asap import asap
from nasp_core.strategies.asng import asng
from nasp_core.strategies.balenas import balenas
from nasp_core.strategies.bayesnas import bayesnas
from nasp_core.strategies.darts import darts
from nasp_core.strategies.darts_2nd import darts_2nd
from nasp_core.strategies.darts_minus import darts_minus
from nasp_core.strategies.darts_pt import darts_pt
from nasp_core.strategies.dots import dots
from nasp_core.strategies.drnas import drnas
from nasp_core.strategies.entrannas import entrannas
from nasp_core.strategies.fairnas import fairnas
from nasp_core.strategies.freedarts import freedarts
from nasp_core.strategies.gaea import gaea
from nasp_core.strategies.gdas import gdas
from nasp_core.strategies.gold_nas import gold_nas
from nasp_core.strategies.greedynas import greedynas
from nasp_core.strategies.msg_das import msg_das
from nasp_core.strategies.na_nas import na_nas
from nasp_core.strategies.nasp import nasp
from nasp_core.strategies.nasp_ranked import nasp_ranked
from nasp_core.strategies.nasp_shortlist import nasp_shortlist
from nasp_core.strategies.noisy_darts import noisy_darts
from nasp_core.strategies.pc_darts import pc_darts
from nasp_core.strategies.rarts import rarts
from nasp_core.strategies.rf_darts import rf_darts
from nasp_core.strategies.shapley import shapley
from nasp_core.strategies.snas import snas
from nasp_core.strategies.spos import spos
from nasp_core.strategies.table import STRATEGIES, make_strategy
from nasp_core.strategies.tnd_nas import tnd_nas

__all__ = [
    "STRATEGIES",
    "amended_darts",
    "asap",
    "asng",
    "balenas",
    "bayesnas",
    "darts",
    "darts_2nd",
    "darts_minus",
    "darts_pt",
    "dots",
    "drnas",
    "entrannas",
    "fairnas",
    "freedarts",
    "gaea",
    "gdas",
    "gold_nas",
    "greedynas",
    "make_strategy",
    "msg_das",
    "na_nas",
    "nasp",
    "nasp_ranked",
    "nasp_shortlist",
    "noisy_darts",
    "pc_darts",
    "rarts",
    "rf_darts",
    "shapley",
    "snas",
    "spos",
    "tnd_nas",
]
