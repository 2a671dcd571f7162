import importlib.util

# Before any test can import timm: the networks' package makes torchvision importable on CPU torch.
if importlib.util.find_spec('torch') is not None:
    import ssd_depth_core.models  # noqa: F401
