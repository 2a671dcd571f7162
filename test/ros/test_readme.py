"""What the README and the pages of docs/ name is there: commands, paths, topics, parameters."""

from dataclasses import fields
from itertools import takewhile
from pathlib import Path
import re
import shlex

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[2]
README = (ROOT / 'README.md').read_text()
ROBOT = (ROOT / 'docs' / 'robot.md').read_text()
TRAINING = (ROOT / 'docs' / 'training.md').read_text()
SETUP = (ROOT / 'setup.py').read_text()
MODULES = {path.stem: path.read_text() for path in (ROOT / 'ssd_depth_ros').glob('*.py')}
BLOCKS = re.findall(r'^ *```(\w*)\n(.*?)^ *```', README + TRAINING, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.split(' #')[0].strip()
    for language, block in BLOCKS
    if language == 'bash'
    for line in block.replace('\\\n', '').splitlines()
] + [code for code in re.findall(r'`([^`\n]+)`', README) if ' ' in code]


def commands(*first_words: str) -> list[list[str]]:
    found = [shlex.split(line) for line in COMMANDS]
    return [words for words in found if words[: len(first_words)] == list(first_words)]


def options(words: list[str]) -> set[str]:
    return {word for word in words if word.startswith('--')}


def rows(text: str, header: str) -> list[list[str]]:
    """Give the cells of the table below a header row."""
    lines = text[text.index(header) :].splitlines()[2:]
    table = []
    for line in lines:
        if not line.startswith('|'):
            break
        table.append([cell.strip() for cell in line.strip('|').split('|')])
    return table


def test_make_targets_exist() -> None:
    makefile = (ROOT / 'Makefile').read_text()
    wanted = {words[1] for words in commands('make')}
    assert {'demo', 'test'} <= wanted
    assert all(re.search(rf'^{target}:', makefile, re.MULTILINE) for target in wanted)


def test_demo_plays_the_drive_that_is_there() -> None:
    (bag,) = re.findall(r'depth_demo --bag (\S+)', (ROOT / 'Makefile').read_text())
    assert f"DEFAULT_BAG = Path('{bag}')" in MODULES['demo']
    assert (ROOT / bag).is_file()


def test_console_commands_and_their_options_exist() -> None:
    entry_points = dict(re.findall(r"'(depth_\w+) = ([\w.]+):main'", SETUP))
    used = {words[0]: set() for words in commands() if words[0].startswith('depth_')}
    for words in commands():
        if words[0] in used:
            ours = words[: words.index('--ros-args')] if '--ros-args' in words else words
            used[words[0]] |= options(ours)
    assert {'depth_replay', 'depth_demo', 'depth_predict', 'depth_bag'} <= set(used)
    for name, flags in used.items():
        source = (ROOT / f'{entry_points[name].replace(".", "/")}.py').read_text()
        assert not {flag for flag in flags if f"'{flag}'" not in source}, name


def test_training_stages_their_options_and_configs_exist() -> None:
    stages = [words for words in commands('python', '-m') if '--config' in words]
    assert len(stages) >= 8
    shared = (ROOT / 'training' / '_cli.py').read_text()
    for words in stages:
        source = (ROOT / f'{words[2].replace(".", "/")}.py').read_text()
        assert not {flag for flag in options(words) if f"'{flag}'" not in source + shared}
        assert (ROOT / words[words.index('--config') + 1]).is_file()


def test_launch_arguments_exist() -> None:
    launch = (ROOT / 'launch' / 'depth.launch.py').read_text()
    used = set(re.findall(r'(?<!-p )(?<!-p ")\b([a-z_]+):=', README + ROBOT))
    assert {'image', 'bag'} <= used
    assert not {name for name in used if f"'{name}'" not in launch}


def test_parameters_given_by_hand_exist() -> None:
    pytest.importorskip('rclpy')
    from ssd_depth_ros.parameters import default_values

    used = set(re.findall(r'-p "?([a-z_.]+):=', README + ROBOT))
    assert {'lazy', 'cameras'} <= used
    assert used <= default_values().keys() | {'use_sim_time'}


def test_launched_pictures_are_rectified() -> None:
    launch = (ROOT / 'launch' / 'depth.launch.py').read_text()
    pictures = re.findall(r'depth\.launch\.py image:=(\S+)', README + launch)
    pictures += re.findall(r'image:=(\S+)`', ROBOT)
    assert len(pictures) >= 4
    # Below the name of each camera, where there are several.
    assert all(re.match(r'(/\w+/)?image_rect', picture) for picture in pictures)


def test_linked_files_exist() -> None:
    for text, folder in ((README, ROOT), (ROBOT, ROOT / 'docs'), (TRAINING, ROOT / 'docs')):
        targets = re.findall(r'\]\(([^)#]+)(?:#[\w-]+)?\)', text)
        assert targets
        assert [t for t in targets if '://' not in t and not (folder / t).exists()] == []


def test_tree_names_what_is_there() -> None:
    (tree,) = (block for language, block in BLOCKS if not language and 'ssd_depth_core/' in block)
    missing, parent = [], ROOT
    for line in tree.splitlines():
        folder = parent if line.startswith(' ') else ROOT
        names = list(takewhile(lambda word: word.endswith(('/', '.py')), line.split()))
        assert names, line
        missing += [name for name in names if not (folder / name).exists()]
        if folder is ROOT:
            parent = ROOT / names[0]
    assert missing == []


def test_tree_names_every_module_of_the_node() -> None:
    listed = set(re.findall(r'\b(\w+)\.py\b', README))
    assert set(MODULES) - {'__init__'} <= listed


def test_topic_table_is_that_of_the_node() -> None:
    table = {cells[0].strip('`'): cells[1] for cells in rows(README, '| topic | type |')}
    private = set(re.findall(r"'(~/[\w/]+)'", MODULES['outputs'] + MODULES['depth_node']))
    assert {topic for topic in table if topic.startswith('~')} == private
    inputs = {topic for topic in table if not topic.startswith(('~', '/'))}
    assert inputs == {'image', 'image/compressed', 'camera_info'}
    subscribed = set(re.findall(r"'((?:image|image/compressed))'", MODULES['inputs']))
    assert subscribed | {'camera_info'} == inputs
    assert "'{self._camera.prefix}camera_info'" in MODULES['inputs']
    assert "'/diagnostics'" in MODULES['depth_node']
    assert set(table) - private - inputs == {'/diagnostics'}


def test_parameter_table_is_that_of_the_node() -> None:
    pytest.importorskip('rclpy')
    from ssd_depth_ros.parameters import default_values

    table = {
        cells[0].strip('`'): yaml.safe_load(cells[1].strip('`'))
        for cells in rows(ROBOT, '| parameter | default |')
    }
    defaults = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in default_values().items()
    }
    assert table == defaults
    assert list(map(type, table.values())) == [type(defaults[name]) for name in table]


def test_range_examples_follow_from_the_model_and_the_rule() -> None:
    from ssd_depth_core.preprocess import focal_of, resize_intrinsics

    # The default of the model's configuration; the shipped ModelSpec is made with it.
    source = (ROOT / 'ssd_depth_core' / 'models' / 'depth_net.py').read_text()
    canonical = float(re.search(r'canonical_focal_px: float = ([\d.]+)', source)[1])
    reach = 0.97 * float(re.search(r'max_depth_m: float = ([\d.]+)', source)[1])
    assert f'{reach:.1f} m * f / {canonical:.0f} px' in ROBOT
    examples = rows(ROBOT, '| camera | image |')
    assert len(examples) == 3
    for _, size, focal, resized, told in examples:
        width, height = map(int, size.split(' x '))
        fx = float(focal.split()[0])
        K = np.diag((fx, fx, 1.0))
        f = focal_of(resize_intrinsics(K, (height, width), (192, 320)))
        assert f'{f:.0f} px' == resized
        assert f'{reach * f / canonical:.0f} m' == told


def test_fixed_parameters_are_marked() -> None:
    pytest.importorskip('rclpy')
    from ssd_depth_ros.parameters import Parameters, PointsParameters, PublishParameters

    prefixes = {'': Parameters, 'points.': PointsParameters, 'publish.': PublishParameters}
    fixed = {
        prefix + item.name
        for prefix, group in prefixes.items()
        for item in fields(group)
        if item.metadata.get('read_only')
    }
    table = rows(ROBOT, '| parameter | default |')
    assert {cells[0].strip('`') for cells in table if cells[2] == 'fixed'} == fixed


def test_python_example_is_one_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the README's lines on a stand-in for the predictor, which has tests of its own."""
    import cv2
    import numpy as np
    from ssd_depth_core.runtime.predictor import DepthPredictor

    class Stub:
        def predict(self, image: np.ndarray, K: np.ndarray) -> object:
            assert image.shape == (4, 6, 3)
            assert image.flags.c_contiguous
            assert K.shape == (3, 3)
            return type('Prediction', (), {'depth': np.ones((2, 3), np.float32)})()

    cv2.imwrite(str(tmp_path / 'street.jpg'), np.zeros((4, 6, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DepthPredictor, 'load', staticmethod(lambda: Stub()))
    (example,) = (block for language, block in BLOCKS if language == 'python')
    names: dict[str, object] = {}
    exec(example, names)
    assert names['depth'].shape == (2, 3)
