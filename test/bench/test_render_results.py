from dataclasses import replace
from pathlib import Path

import pytest
from ssd_depth_core.records import Result, write_result

from bench.render_results import main, render_page, render_result, render_table

DOCS = Path(__file__).parents[2] / 'docs'
RESULT = Result(
    title='Depth at night',
    command='python bench/real_frames.py --seed 3',
    seed=3,
    commit='ea744fd4b1',
    machine='Some CPU, 2 CPU cores, no accelerator used',
    date='2026-11-21',
    data='SynthDrive (synthetic)',
    rows=(
        {'method': 'student', 'abs_rel': 0.12345, 'rmse': 5.5, 'n': 3},
        {'method': 'a|b', 'abs_rel': 1.0, 'rmse': 12.25, 'n': 200},
    ),
    notes='Small.',
)


def test_the_committed_page_is_a_fresh_render(tmp_path):
    (tmp_path / 'results').symlink_to(DOCS / 'results')
    assert main(['--docs', str(tmp_path)]) == 0
    assert (tmp_path / 'results.md').read_text() == (DOCS / 'results.md').read_text(), (
        'docs/results changed; run `python -m bench.render_results`'
    )


def test_a_result_is_rendered_with_what_made_it():
    assert render_result(RESULT) == (
        '## Depth at night\n\n'
        '| method | abs_rel | rmse | n |\n'
        '| --- | ---: | ---: | ---: |\n'
        '| student | 0.123 | 5.50 | 3 |\n'
        '| a\\|b | 1.000 | 12.25 | 200 |\n\n'
        '`python bench/real_frames.py --seed 3`: commit ea744fd4b1, 2026-11-21, seed 3, '
        'Some CPU, 2 CPU cores, no accelerator used.\n\n'
        'Data: SynthDrive (synthetic).\n\n'
        'Small.\n'
    )


def test_a_table_of_its_own_is_shown_instead_of_the_rows():
    page = render_result(replace(RESULT, table='| by night |\n| --- |'))
    assert page.startswith('## Depth at night\n\n| by night |\n| --- |\n\n`python bench')
    assert '| student |' not in page


@pytest.mark.parametrize(
    ('values', 'cells'),
    [
        ([0.5, 0.25], ['0.500', '0.250']),
        ([9.87654, 0.1], ['9.877', '0.100']),
        ([98.7654, 0.1], ['98.77', '0.10']),
        ([987.654, 1.0], ['987.7', '1.0']),
        ([12345.6, 1.0], ['12346', '1']),
        ([-98.7654], ['-98.77']),
        ([7, 123456], ['7', '123456']),
        ([0.5, None], ['0.500', '']),
        ([float('nan'), 0.5], ['nan', '0.500']),
        ([True, False], ['yes', 'no']),
        (['2\n3', 4], ['2 3', '4']),
    ],
)
def test_numbers_of_a_column_share_their_decimals(values, cells):
    lines = render_table(tuple({'x': value} for value in values)).split('\n')
    assert lines[2:] == [f'| {cell} |' for cell in cells]


@pytest.mark.parametrize(
    ('values', 'ruler'),
    [([1, 2.5], '---:'), ([1, None], '---:'), ([1, 'a'], '---'), ([True], '---')],
)
def test_only_columns_of_numbers_stand_to_the_right(values, ruler):
    table = render_table(tuple({'x': value} for value in values))
    assert table.split('\n')[1] == f'| {ruler} |'


def test_results_come_in_the_order_of_their_files(tmp_path, capsys):
    for name in ('b', 'a'):
        write_result(RESULT, tmp_path / 'results' / f'{name}.json')
        path = tmp_path / 'results' / f'{name}.json'
        path.write_text(path.read_text().replace('Depth at night', f'From {name}'))
    main(['--docs', str(tmp_path)])
    page = (tmp_path / 'results.md').read_text()
    assert page.index('## From a') < page.index('## From b')
    assert capsys.readouterr().out == f'{tmp_path / "results.md"}\n'


def test_a_page_without_results_is_its_heading():
    assert render_page([]).startswith('# Results\n')
    assert '##' not in render_page([])
