from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip('cv2')
pytest.importorskip('onnxruntime')

from ssd_depth_core.data.index import IndexHeader, write_index
from ssd_depth_core.gdt import condition_check
from ssd_depth_core.gdt.acceptance import GateConfig
from ssd_depth_core.gdt.captioner import CaptionConfig
from ssd_depth_core.gdt.condition_recipe import ConditionRecipe
from ssd_depth_core.gdt.depth_prior import DepthPriorConfig
from ssd_depth_core.gdt.recipe import TranslateConfig

from training import _gdt


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Build the pipeline of a gate; gives what CLIP and the pipeline were made with."""
    header = IndexHeader(format='nuscenes', root='..', options={}, kept={}, dropped={})
    write_index(tmp_path / 'index', header, {})
    made = SimpleNamespace(clip=[], pipeline={}, required=[])
    monkeypatch.setattr(condition_check, 'ClipJudge', lambda *values: made.clip.append(values))
    monkeypatch.setattr(_gdt, 'require_models', made.required.append)
    monkeypatch.setattr(_gdt, 'Pipeline', lambda **parts: made.pipeline.update(parts))

    def build(**gate):
        config = TranslateConfig(
            captioner=CaptionConfig(kind='none'),
            depth=DepthPriorConfig(kind='onnx'),
            translator='procedural',
            conditions={'fog': ConditionRecipe(phrases=('in fog',))},
            gate=GateConfig(**gate),
        )
        _gdt.build_pipeline(config, Path(tmp_path / 'index'), 'cuda:3')
        assert made.required == [config]
        return made

    return build


def test_clip_looks_on_the_device_and_stands_among_the_models(build):
    made = build(condition_check='clip', clip_model='a/clip')
    assert made.clip == [('a/clip', 'cuda:3')]
    assert made.pipeline['models']['gate_clip'] == 'a/clip'


def test_a_gate_without_clip_names_its_depth_network_alone(build):
    made = build()
    assert made.clip == []
    assert set(made.pipeline['models']) == {'depth', 'gate'}
