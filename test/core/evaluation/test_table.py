from ssd_depth_core.evaluation.table import markdown


def test_every_table_says_its_frames(evaluation):
    text = markdown(evaluation)
    assert '4 of 7 frames scored; 2 without a prediction left out, 1 without valid truth' in text
    assert '| all | plain | 80 m | 4 | 2 | 0.300 (0.200 to 0.400) |' in text
    assert '| night | scaled | 50 m | 2 | 1 | 0.000 |' in text
    assert '## Difference to other/metrics.json' in text
    assert '| all | plain | 80 m | 4 | 2 | 0.000 (0.000 to 0.000) |' in text
    assert '- Confidence: the method gives none.' in text
    for block in text.split('\n\n'):
        if block.startswith('|'):
            assert 'frames' in block.splitlines()[0] or '[' in block.splitlines()[2]
            assert len({line.count('|') for line in block.splitlines()}) == 1
