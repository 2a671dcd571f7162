import json

import pytest
from ssd_depth_core.data.manifest import append_manifest, ManifestLine, read_manifest


def line(number=0, **changes):
    values = {
        'source_id': f'frame-{number}',
        'condition': 'night',
        'path': f'night/{number}.png',
        'translator': 'diffusion',
        'models': {'unet': 'some/unet', 'controlnet': 'some/depth'},
        'seed': 7,
        'caption': 'a street',
        'prompt': 'At night, a street',
        'image_prompt': 'n015.jpg',
        'scores': {'edges': 0.9},
        'accepted': True,
    }
    return ManifestLine(**{**values, **changes})


def test_what_was_added_is_read_back(tmp_path):
    lines = [line(0), line(1, accepted=False, reasons=('too dark', 'moved'))]
    bare = {'caption': None, 'prompt': None, 'image_prompt': None, 'models': {}, 'scores': {}}
    lines.append(line(2, **bare))
    append_manifest(tmp_path / 'new', lines[:1])
    append_manifest(tmp_path / 'new', lines[1:])
    assert read_manifest(tmp_path / 'new') == lines


def test_a_line_being_written_does_not_count_and_the_next_run_cuts_it_off(tmp_path):
    append_manifest(tmp_path, [line(0), line(1)])
    path = tmp_path / 'manifest.jsonl'
    path.write_bytes(path.read_bytes()[:-20])
    assert read_manifest(tmp_path) == [line(0)]
    append_manifest(tmp_path, [line(2)])
    assert read_manifest(tmp_path) == [line(0), line(2)]


def test_a_manifest_of_one_torn_line_starts_anew(tmp_path):
    (tmp_path / 'manifest.jsonl').write_text('{"schema')
    assert read_manifest(tmp_path) == []
    append_manifest(tmp_path, [line(3)])
    assert read_manifest(tmp_path) == [line(3)]


def test_no_manifest_says_how_to_get_one(tmp_path):
    with pytest.raises(FileNotFoundError, match='manifest not found at .*training.translate'):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'schema_version': 2}, r'manifest.jsonl:2: schema_version must be one of 1, got 2'),
        ({'condition': 'dusk'}, 'condition must be one of day-clear'),
        ({'verdict': True}, r'unknown field\(s\) verdict'),
        ({'accepted': 1}, 'accepted must be bool, got 1'),
        ({'scores': {'edges': 'good'}}, 'scores.edges must be float'),
        ({'scores': {'edges': float('nan')}}, 'score edges must be finite, got nan'),
        ({'path': '../other.png'}, "path must lie in the manifest's folder, got '../other.png'"),
        ({'path': '/tmp/other.png'}, "path must lie in the manifest's folder"),
        ({'path': 'night/0.png'}, 'picture night/0.png comes twice'),
    ],
)
def test_a_line_that_breaks_the_form_is_named(tmp_path, change, message):
    append_manifest(tmp_path, [line(0), line(1)])
    path = tmp_path / 'manifest.jsonl'
    first, second = map(json.loads, path.read_text().splitlines())
    path.write_text(f'{json.dumps(first)}\n{json.dumps({**second, **change})}\n')
    with pytest.raises(ValueError, match=message):
        read_manifest(tmp_path)


def test_a_line_that_is_no_json_is_named(tmp_path):
    append_manifest(tmp_path, [line(0)])
    with (tmp_path / 'manifest.jsonl').open('a') as file:
        file.write('{"schema_version": 1\n')
    with pytest.raises(ValueError, match='manifest.jsonl:2 is not JSON'):
        read_manifest(tmp_path)
