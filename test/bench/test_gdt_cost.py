import json

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('diffusers')

from bench.gdt_cost import caption_part, counted, main, OPT_PARAMETERS  # noqa: E402


def test_a_convolution_costs_two_operations_a_weight_and_pixel():
    with torch.device('meta'):
        convolution = torch.nn.Conv2d(4, 8, 3, padding=1, bias=False)
        picture = torch.zeros(1, 4, 10, 20)
        teraflop, parameters = counted(convolution, lambda: convolution(picture), times=5)
    assert parameters == 4 * 8 * 9
    assert teraflop == pytest.approx(5 * 2 * parameters * 10 * 20 / 1e12)


def test_words_cost_in_proportion_to_the_beams():
    one, five = (caption_part(beams, 30)[0] for beams in (1, 5))
    assert five - one == pytest.approx(4 * 2 * OPT_PARAMETERS * 62 / 1e12)


def test_the_whole_is_the_sum_of_its_parts_at_the_published_sizes(tmp_path):
    main(['--json', str(tmp_path / 'cost.json')])
    result = json.loads((tmp_path / 'cost.json').read_text())
    *parts, whole = result['rows']
    by_name = {row['part']: row for row in parts}
    # 859.5, 361.3 and 83.7 million parameters, as their model cards have them.
    assert by_name['UNet']['fp16 weights GB'] == pytest.approx(1.72)
    assert by_name['ControlNet']['fp16 weights GB'] == pytest.approx(0.72)
    assert by_name['decoder']['fp16 weights GB'] == pytest.approx(0.17)
    # 123.1 million of words, 630.8 of ViT-H/14, 303.2 of ViT-L/14; no projections.
    assert by_name['words (CLIP)']['fp16 weights GB'] == pytest.approx(0.25)
    assert by_name['photograph (CLIP)']['fp16 weights GB'] == pytest.approx(1.26)
    assert by_name['safety checker (CLIP)']['fp16 weights GB'] == pytest.approx(0.61)
    assert whole['TFLOP a picture'] == pytest.approx(
        sum(row['TFLOP a picture'] for row in parts), abs=0.3
    )
    assert '30,258 pictures' in result['notes']
