"""The layer table of the design, held by walking the syntax trees: nothing is imported here."""

import ast
from collections.abc import Iterator
from pathlib import Path
import sys

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ('ssd_depth_core', 'ssd_depth_ros', 'training')

# From the bottom up. A module may import from the layers below and from its own package; packages
# on one line are siblings and stay apart.
CORE_LAYERS = (
    (
        *('records', 'model_spec', 'reference_pair', 'preprocess', 'canonical_depth'),
        'exact_depth',
        *('config', 'checks', 'conditions', 'surface_classes'),
    ),
    ('geometry',),
    ('data', 'synthdrive', 'models', 'losses', 'metrics'),
    ('gdt', 'depthgen'),
    ('learning', 'evaluation'),
    ('export',),
    ('runtime',),
    ('bags',),  # above the runtime, because `depth_bag` runs the predictor over a bag
)
LAYERS = (
    ('ssd_depth_core',),  # the package itself: a version and nothing to import
    *(tuple(f'ssd_depth_core.{name}' for name in layer) for layer in CORE_LAYERS),
    ('ssd_depth_ros', 'training'),
)
RANK = {package: rank for rank, layer in enumerate(LAYERS) for package in layer}

# Modules rather than packages, so they may use one another: a record is read by config.
BOTTOM = LAYERS[1]
# Inside the one function that needs it.
LAZY_IN_BOTTOM = (('ssd_depth_core.config', 'yaml'), ('ssd_depth_core.preprocess', 'cv2'))
ROBOT = ('ssd_depth_core.runtime', 'ssd_depth_core.bags', 'ssd_depth_ros')
LEARNING_STACK = {
    *('accelerate', 'diffusers', 'safetensors', 'timm', 'torch', 'torchvision', 'training'),
    'transformers',
}
ROS = {'ament_index_python', 'cv_bridge', 'launch', 'launch_ros', 'rclpy', 'sensor_msgs_py'}


def modules(root: Path) -> dict[str, Path]:
    """Map every module of the three packages to its file."""
    found = {}
    for source in SOURCES:
        for path in sorted((root / source).rglob('*.py')):
            parts = path.relative_to(root).with_suffix('').parts
            found['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
    return found


def imports(module: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Name what a module imports anywhere in its file, lazily too, as deep as modules go."""
    package = module if path.name == '__init__.py' else module.rpartition('.')[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split('.')[: len(package.split('.')) - node.level + 1]
            base = '.'.join([*(parents if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                deeper = f'{base}.{alias.name}'
                yield deeper if deeper in known or deeper in RANK else base


def package_of(module: str) -> str:
    """Give the entry of the layer table that a module belongs to."""
    parts = module.split('.')
    return '.'.join(parts[:2] if parts[0] == 'ssd_depth_core' else parts[:1])


def is_ros(module: str) -> bool:
    top = module.split('.')[0]
    return top in ROS or top.endswith(('_msgs', '_srvs'))


def violations(root: Path) -> list[str]:
    """List every import that the table forbids, and every package that it does not know."""
    known = modules(root)
    found = [f'{module} is in no layer' for module in known if package_of(module) not in RANK]
    if found:
        return found
    for module, path in known.items():
        here = package_of(module)
        for target in imports(module, path, known):
            top, there = target.split('.')[0], package_of(target)
            if top in SOURCES and there not in RANK:
                found.append(f'{module} imports {target}, which is in no layer')
            elif top in SOURCES and there != here:
                if RANK[there] == RANK[here] and here not in BOTTOM:
                    found.append(f'{module} imports its sibling {target}')
                elif RANK[there] > RANK[here]:
                    found.append(f'{module} imports {target} from above')
            if here != 'ssd_depth_ros' and top != 'training' and is_ros(target):
                found.append(f'{module} imports {target}: only ssd_depth_ros may know ROS')
            if here in BOTTOM and not (
                top in {*SOURCES, *sys.stdlib_module_names, 'numpy'}
                or (module, target) in LAZY_IN_BOTTOM
            ):
                found.append(f'{module} imports {target}: layer 0 needs numpy alone')
    return found


def reach(start: str, known: dict[str, Path]) -> set[str]:
    """Collect all that importing a module may import, through our own modules and packages."""
    seen, todo = set(), [start]
    while todo:
        module = todo.pop()
        if module in seen:
            continue
        seen.add(module)
        if module in known:
            todo.extend(imports(module, known[module], known))
        if '.' in module:
            todo.append(module.rpartition('.')[0])
    return seen


def heavy_on_the_robot(root: Path) -> list[str]:
    """List modules of a robot's packages from which the learning stack can be reached."""
    known = modules(root)
    return [
        f'{module} reaches {", ".join(heavy)}'
        for module in known
        if package_of(module) in ROBOT and (heavy := sorted(LEARNING_STACK & reach(module, known)))
    ]


def test_the_tree_keeps_its_layers():
    assert violations(ROOT) == []


def test_a_robot_needs_no_learning_stack():
    assert heavy_on_the_robot(ROOT) == []


@pytest.mark.parametrize(('module', 'name'), LAZY_IN_BOTTOM)
def test_layer_0_imports_more_than_numpy_lazily(module, name):
    tree = ast.parse((ROOT / f'{module.replace(".", "/")}.py').read_text())
    at_import = {
        alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
    }
    assert name not in at_import


# The tests above prove something only if a planted fault is seen.


@pytest.fixture
def plant(tmp_path):
    def plant(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return plant


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('ssd_depth_core/geometry/pose.py', 'import ssd_depth_core.runtime.predict', 'from above'),
        (
            'ssd_depth_core/learning/loop.py',
            'def f():\n    from ssd_depth_core import export',
            'from above',
        ),
        ('ssd_depth_core/learning/loop.py', 'from training import x', 'from above'),
        ('ssd_depth_core/learning/loop.py', 'from ..runtime import predict', 'from above'),
        (
            'ssd_depth_core/data/index.py',
            'from ssd_depth_core.synthdrive import world',
            'imports its sibling',
        ),
        (
            'ssd_depth_core/models/factory.py',
            'from ssd_depth_core.metrics import depth_metrics',
            'sibling',
        ),
        (
            'ssd_depth_core/runtime/predict.py',
            'import rclpy.node',
            'only ssd_depth_ros may know ROS',
        ),
        (
            'ssd_depth_core/bags/offline.py',
            'from sensor_msgs.msg import Image',
            'only ssd_depth_ros may know ROS',
        ),
        ('ssd_depth_core/checks.py', 'import torch', 'layer 0 needs numpy alone'),
        ('ssd_depth_core/checks.py', 'import yaml', 'layer 0 needs numpy alone'),
        ('ssd_depth_core/helpers.py', '', 'is in no layer'),
    ],
)
def test_a_planted_violation_is_seen(plant, name, text, message):
    root = plant({name: text})
    (found,) = violations(root)
    assert message in found


def test_ros_and_training_stay_apart(plant):
    root = plant(
        {'ssd_depth_ros/node.py': 'import training', 'training/a.py': 'import ssd_depth_ros.node'}
    )
    assert [text.partition(' imports its sibling ')[2] for text in violations(root)] == [
        'training',
        'ssd_depth_ros.node',
    ]


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        (
            'ssd_depth_core/learning/loop.py',
            'import torch\nfrom ssd_depth_core.models import factory',
        ),
        (
            'ssd_depth_core/runtime/predict.py',
            'import cv2\nfrom ssd_depth_core.runtime import predictor',
        ),
        ('ssd_depth_core/bags/offline.py', 'from ssd_depth_core.runtime import predictor'),
        (
            'ssd_depth_core/model_spec.py',
            'import json\nimport numpy as np\nfrom ssd_depth_core import config',
        ),
        ('ssd_depth_core/config.py', 'import yaml'),
    ],
)
def test_what_the_table_allows_passes(plant, name, text):
    assert violations(plant({name: text})) == []


def test_torch_behind_a_helper_is_seen(plant):
    root = plant(
        {
            'ssd_depth_ros/node.py': 'from ssd_depth_core.data import nuscenes',
            'ssd_depth_core/data/__init__.py': 'from ssd_depth_core.data import augment',
            'ssd_depth_core/data/augment.py': 'def f():\n    import torch.nn',
            'ssd_depth_core/data/nuscenes.py': 'import json',
        }
    )
    assert heavy_on_the_robot(root) == ['ssd_depth_ros.node reaches torch']
