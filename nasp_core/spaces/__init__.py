"""The spaces that can be searched."""

from nasp_core.spaces.cell_network import CellNetwork, Cells, CellSettings, cells_of
from nasp_core.spaces.conv_cell import ConvCellSpace, ConvSettings
from nasp_core.spaces.conv_operations import (
    CONV_OPERATIONS,
    DARTS_OPERATIONS,
    NASP_NORMAL_OPERATIONS,
    NASP_REDUCE_OPERATIONS,
)
from nasp_core.spaces.histories import Histories
from nasp_core.spaces.interaction import InteractionNetwork, InteractionSettings, InteractionSpace
from nasp_core.spaces.nas_bench_201 import (
    NasBench201Network,
    NasBench201Settings,
    NasBench201Space,
    arch_string,
    operations_of,
)
from nasp_core.spaces.operations import OPERATIONS, TENSOR_OPERATIONS
from nasp_core.spaces.published_cells import PUBLISHED_CELLS
from nasp_core.spaces.queries import Queries
from nasp_core.spaces.recurrent_cell import RecurrentCellSpace, RecurrentNetwork
from nasp_core.spaces.recurrent_forms import DARTS_PTB, DARTS_PTB_FIRST, from_pairs, pairs_of, resized
from nasp_core.spaces.recurrent_settings import DARTS_EVALUATION, RecurrentSettings
from nasp_core.spaces.tensor_interaction import TensorInteractionNetwork, TensorInteractionSpace
from nasp_core.spaces.wide import WideNetwork, WideSpace
from nasp_core.spaces.wide_branch import WideBranch
from nasp_core.spaces.wide_points import NAMED, NamedPoint, additive, additive_reason, named, wide_formula
from nasp_core.spaces.wide_settings import WideSettings, settings_of

__all__ = [
    "CONV_OPERATIONS",
    "DARTS_EVALUATION",
    "DARTS_OPERATIONS",
    "DARTS_PTB",
    "DARTS_PTB_FIRST",
    "NAMED",
    "NASP_NORMAL_OPERATIONS",
    "NASP_REDUCE_OPERATIONS",
    "OPERATIONS",
    "PUBLISHED_CELLS",
    "TENSOR_OPERATIONS",
    "CellNetwork",
    "CellSettings",
    "Cells",
    "ConvCellSpace",
    "ConvSettings",
    "Histories",
    "InteractionNetwork",
    "InteractionSettings",
    "InteractionSpace",
    "NamedPoint",
    "NasBench201Network",
    "NasBench201Settings",
    "NasBench201Space",
    "Queries",
    "RecurrentCellSpace",
    "RecurrentNetwork",
    "RecurrentSettings",
    "TensorInteractionNetwork",
    "TensorInteractionSpace",
    "WideBranch",
    "WideNetwork",
    "WideSettings",
    "WideSpace",
    "additive",
    "additive_reason",
    "arch_string",
    "cells_of",
    "from_pairs",
    "named",
    "operations_of",
    "pairs_of",
    "resized",
    "settings_of",
    "wide_formula",
]
