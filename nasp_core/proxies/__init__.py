"""Training-free scores: a number for an untrained network, one rule a file."""

from nasp_core.proxies.fisher import Fisher
from nasp_core.proxies.freedarts import FreeDarts, saliency, summed
from nasp_core.proxies.grad_norm import GradNorm
from nasp_core.proxies.grasp import Grasp
from nasp_core.proxies.jacob_cov import JacobCov
from nasp_core.proxies.linear_regions import LinearRegions
from nasp_core.proxies.naswot import Naswot
from nasp_core.proxies.ntk import Ntk
from nasp_core.proxies.points import SupernetProxy, proxy_judge, proxy_score
from nasp_core.proxies.protocol import Proxy
from nasp_core.proxies.snip import Snip
from nasp_core.proxies.synflow import Synflow
from nasp_core.proxies.table import PROXIES, make_proxy, proxy_name

__all__ = [
    "PROXIES",
    "Fisher",
    "FreeDarts",
    "GradNorm",
    "Grasp",
    "JacobCov",
    "LinearRegions",
    "Naswot",
    "Ntk",
    "Proxy",
    "Snip",
    "SupernetProxy",
    "Synflow",
    "make_proxy",
    "proxy_judge",
    "proxy_name",
    "proxy_score",
    "saliency",
    "summed",
]
