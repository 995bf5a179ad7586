"""What a supernet carries only while it is searched: one hook a file."""

from nasp_core.hook.norm_only import NormOnly
from nasp_core.hook.partial_channels import PartialChannels
from nasp_core.hook.skips import AuxiliarySkip, DropBlockSkip, NoisySkip
from nasp_core.hook.transit import Transit

__all__ = ["AuxiliarySkip", "DropBlockSkip", "NoisySkip", "NormOnly", "PartialChannels", "Transit"]
