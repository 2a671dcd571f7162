"""Networks: encoders from timm, decoders, and what joins them."""

from ssd_depth_core.models.torchvision_cpu import allow_cpu_torchvision

allow_cpu_torchvision()  # here, because a package comes before its modules, which import timm
