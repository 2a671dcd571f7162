from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ssd_depth_core.records import read_result, Result, write_result

from bench.render_results import (
    main,
    plots_of,
    render_html,
    render_page,
    render_result,
    render_table,
)

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
PLOTTED = replace(
    RESULT,
    title='Nights & <rain>',
    command='python bench/a.py --plot docs/images/night.png',
    data='SynthDrive (synthetic), < 80 m',
    rows=({'method': 'a|b', 'abs_rel': 0.5}, {'method': 'c', 'abs_rel': 0.25}),
    notes='Of `a_b`; *small*.',
)
VOID = {'meta', 'img'}


class Page(HTMLParser):
    """Read a page: its text, what it links to and shows, and whether its elements nest."""

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.links, self.images, self.tags = [], [], [], [], []
        self.text = ''
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if 'id' in attributes:
            self.ids.append(attributes['id'])
        if tag == 'a':
            self.links.append(attributes['href'])
        if tag == 'img':
            assert attributes['alt']
            self.images.append(attributes['src'])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f'</{tag}> at {self.getpos()}'

    def handle_data(self, data):
        self.text += f'{data} '


@pytest.mark.parametrize('name', ['results.md', 'results.html'])
def test_the_committed_pages_are_a_fresh_render(tmp_path, name):
    for folder in ('results', 'images'):
        (tmp_path / folder).symlink_to(DOCS / folder)
    assert main(['--docs', str(tmp_path)]) == 0
    assert (tmp_path / name).read_text() == (DOCS / name).read_text(), (
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
    further = {'differences': ({'to': 'flat', 'by': 0.25},)}
    result = replace(RESULT, further=further, table='| by night |\n| --- |')
    page = render_result(result)
    assert page.startswith('## Depth at night\n\n| by night |\n| --- |\n\n`python bench')
    assert '| student |' not in page
    drawn = '\n\n**differences**\n\n| to | by |\n| --- | ---: |\n| flat | 0.250 |\n\n`python'
    assert f'| 200 |{drawn}' in render_result(replace(result, table=''))


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
    written = [tmp_path / 'results.md', tmp_path / 'results.html']
    for page in (path.read_text() for path in written):
        assert page.index('From a') < page.index('From b')
    assert capsys.readouterr().out.split() == [str(path) for path in written]


def test_a_page_without_results_is_its_heading():
    assert render_page([]).startswith('# Results\n')
    assert '##' not in render_page([])


@pytest.fixture
def docs(tmp_path):
    (tmp_path / 'images').mkdir()
    for name in ('night.png', 'night_examples.png', 'nightly.png', 'day.png'):
        (tmp_path / 'images' / name).write_bytes(b'png')
    return tmp_path


def test_the_committed_page_is_whole():
    page = Page((DOCS / 'results.html').read_text())
    assert page.open == []
    names = sorted(path.stem for path in (DOCS / 'results').glob('*.json'))
    assert page.ids == names
    assert [link[1:] for link in page.links if link.startswith('#')][: len(names)] == names
    for link in page.links:
        assert link[1:] in page.ids if link.startswith('#') else (DOCS / link).exists(), link
    assert page.images
    assert all((DOCS / image).is_file() for image in page.images)
    assert page.tags.count('table') >= len(names)


def test_the_committed_page_tells_what_made_every_figure():
    text = Page((DOCS / 'results.html').read_text()).text
    for path in (DOCS / 'results').glob('*.json'):
        result = read_result(path)
        for field in fields(Result):
            if field.name not in ('rows', 'further', 'table', 'notes'):
                value = getattr(result, field.name)
                assert str('none' if value is None else value) in text, (path.name, field.name)


def test_a_record_is_shown_with_its_plots_table_and_origin(docs):
    page = Page(render_html({'night': PLOTTED}, docs))
    assert page.open == []
    assert page.ids == ['night']
    assert page.images == ['images/night.png', 'images/night_examples.png']
    words = ' '.join(page.text.split())
    assert words.count('Nights & <rain>') == 2
    assert 'method abs_rel a|b 0.500 c 0.250 Of a_b ; small . command' in words
    assert words.endswith(
        f'command {PLOTTED.command} data SynthDrive (synthetic), < 80 m seed 3 '
        'code commit ea744fd4b1, 2026-11-21 machine Some CPU, 2 CPU cores, no accelerator used'
    )


def test_tables_scroll_and_numbers_stand_to_the_right(docs):
    table = '**x**\n\n|  | day |\n| --- | ---: |\n| a | 0.717 (0.686 to 0.751) |'
    html = render_html({'a': replace(PLOTTED, table=table)}, docs)
    assert html.count('<div class="wide"><table>') == html.count('</table></div>') == 1
    cell = '<td style="text-align: right;">0.717 <small>(0.686 to 0.751)</small></td>'
    assert cell in html
    assert '<strong>x</strong>' in html


def test_the_page_loads_nothing_but_its_plots(docs):
    html = render_html({'a': PLOTTED}, docs)
    for outside in ('http://', 'https://', '<script', '<link', '@import', 'url('):
        assert outside not in html
    assert 'prefers-color-scheme: dark' in html


def test_a_record_without_seed_says_so(docs):
    html = render_html({'a': replace(PLOTTED, seed=None)}, docs)
    assert '<dt>seed</dt><dd>none</dd>' in html


@pytest.mark.parametrize('options', ['', ' --plot experiments/night.png'])
def test_only_plots_of_the_documentation_are_shown(docs, options):
    assert plots_of(replace(PLOTTED, command=f'python bench/a.py{options}'), docs) == []


def test_a_plot_that_is_gone_is_named_with_the_command_that_draws_it(docs):
    (docs / 'images' / 'night.png').unlink()
    with pytest.raises(FileNotFoundError, match='plot .*night.png.*python bench/a.py --plot'):
        render_html({'a': PLOTTED}, docs)
