"""Cells that were published, by the names of their papers, to be trained and compared with."""

from collections.abc import Mapping

from sif.cells.convolution.network import Cells

__all__ = ["PUBLISHED_CELLS"]

_INNER = (2, 3, 4, 5)

_DARTS_V1 = Cells(
    normal=(
        *(("sep_conv_3x3", 1), ("sep_conv_3x3", 0)),
        *(("skip_connect", 0), ("sep_conv_3x3", 1)),
        *(("skip_connect", 0), ("sep_conv_3x3", 1)),
        *(("sep_conv_3x3", 0), ("skip_connect", 2)),
    ),
    normal_concat=_INNER,
    reduce=(
        *(("max_pool_3x3", 0), ("max_pool_3x3", 1)),
        *(("skip_connect", 2), ("max_pool_3x3", 0)),
        *(("max_pool_3x3", 0), ("skip_connect", 2)),
        *(("skip_connect", 2), ("avg_pool_3x3", 0)),
    ),
    reduce_concat=_INNER,
)

_DARTS_V2 = Cells(
    normal=(
        *(("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
        *(("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
        *(("sep_conv_3x3", 1), ("skip_connect", 0)),
        *(("skip_connect", 0), ("dil_conv_3x3", 2)),
    ),
    normal_concat=_INNER,
    reduce=(
        *(("max_pool_3x3", 0), ("max_pool_3x3", 1)),
        *(("skip_connect", 2), ("max_pool_3x3", 1)),
        *(("max_pool_3x3", 0), ("skip_connect", 2)),
        *(("skip_connect", 2), ("max_pool_3x3", 1)),
    ),
    reduce_concat=_INNER,
)

_NASNET_A = Cells(
    normal=(
        *(("sep_conv_5x5", 1), ("sep_conv_3x3", 0)),
        *(("sep_conv_5x5", 0), ("sep_conv_3x3", 0)),
        *(("avg_pool_3x3", 1), ("skip_connect", 0)),
        *(("avg_pool_3x3", 0), ("avg_pool_3x3", 0)),
        *(("sep_conv_3x3", 1), ("skip_connect", 1)),
    ),
    normal_concat=(2, 3, 4, 5, 6),
    reduce=(
        *(("sep_conv_5x5", 1), ("sep_conv_7x7", 0)),
        *(("max_pool_3x3", 1), ("sep_conv_7x7", 0)),
        *(("avg_pool_3x3", 1), ("sep_conv_5x5", 0)),
        *(("skip_connect", 3), ("avg_pool_3x3", 2)),
        *(("sep_conv_3x3", 2), ("max_pool_3x3", 1)),
    ),
    reduce_concat=(4, 5, 6),
)

_AMOEBANET_A = Cells(
    normal=(
        *(("avg_pool_3x3", 0), ("max_pool_3x3", 1)),
        *(("sep_conv_3x3", 0), ("sep_conv_5x5", 2)),
        *(("sep_conv_3x3", 0), ("avg_pool_3x3", 3)),
        *(("sep_conv_3x3", 1), ("skip_connect", 1)),
        *(("skip_connect", 0), ("avg_pool_3x3", 1)),
    ),
    normal_concat=(4, 5, 6),
    reduce=(
        *(("avg_pool_3x3", 0), ("sep_conv_3x3", 1)),
        *(("max_pool_3x3", 0), ("sep_conv_7x7", 2)),
        *(("sep_conv_7x7", 0), ("avg_pool_3x3", 1)),
        *(("max_pool_3x3", 0), ("max_pool_3x3", 1)),
        *(("conv_7x1_1x7", 0), ("sep_conv_3x3", 5)),
    ),
    reduce_concat=(3, 4, 6),
)

_NASP = Cells(
    normal=(
        *(("conv_3x1_1x3", 0), ("conv_3x3", 1)),
        *(("dil_conv_3x3", 2), ("conv_3x3", 1)),
        *(("dil_conv_3x3", 2), ("conv_3x3", 0)),
        *(("skip_connect", 0), ("dil_conv_3x3", 3)),
    ),
    normal_concat=_INNER,
    reduce=(
        *(("max_pool_3x3", 0), ("max_pool_3x3", 1)),
        *(("skip_connect", 2), ("max_pool_5x5", 1)),
        *(("skip_connect", 2), ("skip_connect", 3)),
        *(("skip_connect", 0), ("skip_connect", 1)),
    ),
    reduce_concat=_INNER,
)

PUBLISHED_CELLS: Mapping[str, Cells] = {
    "darts-v1": _DARTS_V1,
    "darts-v2": _DARTS_V2,
    "nasnet-a": _NASNET_A,
    "amoebanet-a": _AMOEBANET_A,
    "nasp": _NASP,
}
"""Cells by name: DARTS' of first and second order (Liu et al. 2019), NASNet-A (Zoph et al. 2018) and AmoebaNet-A
(Real et al. 2019) as DARTS states them, and the one in NASP's published code (Yao et al. 2020)."""
