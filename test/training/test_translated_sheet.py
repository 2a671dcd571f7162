import numpy as np
import pytest

cv2 = pytest.importorskip('cv2')

from ssd_depth_core.data.index import IndexHeader, IndexLine, write_index  # noqa: E402
from ssd_depth_core.data.manifest import append_manifest, ManifestLine  # noqa: E402

from training import _sheet  # noqa: E402
from training.translated_sheet import main, translated_sheet  # noqa: E402

SIZE = (24, 40)  # of the pictures; the frames are twice as large
WIDTH = 80
LEVELS = {'night/0.png': 40, 'fog/0.png': 160, 'night/1.png': 60, 'night/1@1.png': 80}


def line(path, frame, *reasons, **changes):
    values = {
        'source_id': f'frame-{frame}',
        'condition': path.partition('/')[0],
        'path': path,
        'translator': 'x',
        'seed': 0,
        'caption': 'a street',
        'scores': {'trust': 0.25, 'log_error': 0.5},
        'accepted': not reasons,
        'reasons': reasons,
    }
    return ManifestLine(**{**values, **changes})


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Two grey frames: a night and a fog of the first, two nights of the second."""
    root = tmp_path_factory.mktemp('translated')
    height, width = 2 * SIZE[0], 2 * SIZE[1]
    frames = []
    for number, level in enumerate((200, 220)):
        cv2.imwrite(str(root / f'{number}.png'), np.full((height, width, 3), level, np.uint8))
        frames.append(
            IndexLine(
                id=f'frame-{number}',
                scene='scene',
                channel='CAM_FRONT',
                condition='day-clear',
                timestamp_us=number,
                image=f'{number}.png',
                size=(height, width),
                K=((60.0, 0.0, 39.5), (0.0, 60.0, 23.5), (0.0, 0.0, 1.0)),
                speed_mps=None,
            )
        )
    header = IndexHeader(format='nuscenes', root='..', options={}, kept={}, dropped={})
    write_index(root / 'index', header, {'train': frames[:1], 'validation': frames[1:]})
    for path, level in LEVELS.items():
        (root / 'made' / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / 'made' / path), np.full((*SIZE, 3), level, np.uint8))
    lines = [
        line('night/0.png', 0, 'trust 0.25 is below 0.3', unmeasured=('edge_f1',)),
        line('fog/0.png', 0),
        line('night/1.png', 1),
        line('night/1@1.png', 1),
    ]
    append_manifest(root / 'made', lines)
    return root


def levels_of(row):
    """Give the grey of each picture in a row of 80 by 48 pixels; 255 where there is none."""
    return [int(row[24, WIDTH * column + 40, 0]) for column in range(row.shape[1] // WIDTH)]


def test_pictures_stand_beside_their_source_in_columns_of_their_conditions(root):
    sheet = translated_sheet(root / 'made', root / 'index', 6, WIDTH)
    first = translated_sheet(root / 'made', root / 'index', 6, WIDTH, 'rejected')
    assert sheet.shape[1] == first.shape[1] == 4 * WIDTH  # source, two nights, fog
    assert levels_of(first) == [200, 40, 255, 160]
    assert levels_of(sheet[len(first) :]) == [220, 60, 80, 255]
    np.testing.assert_array_equal(sheet[: len(first)], first)


def test_verdict_reasons_scores_and_what_was_not_measured_are_written_below(root, monkeypatch):
    written = []
    draw = _sheet.words
    monkeypatch.setattr(
        'training.translated_sheet.words',
        lambda lines, width: written.append(lines) or draw(lines, width),
    )
    translated_sheet(root / 'made', root / 'index', 1, 800)
    said = [[text for text, _ in lines] for lines in written]
    scores = 'trust 0.25, log_error 0.5'
    assert said == [
        ['frame-0', 'a street'],
        ['night: rejected', 'trust 0.25 is below 0.3', f'{scores}, edge_f1 not measured'],
        ['fog: accepted', scores],
    ]
    (_, red), (_, reason), (_, black) = written[1]
    assert red == reason != black != written[2][0][1] != red


def test_words_are_wrapped_and_drawn_in_their_colour():
    text = 'luminance_ratio 0.8 is outside [0, 0.75], which night has'
    lines = _sheet.wrapped(text, (190, 0, 0), 160)
    assert ' '.join(line for line, _ in lines) == text
    block = _sheet.words(lines, 160)
    assert block.shape == (14 * len(lines), 160, 3)
    assert len(lines) > 1
    assert (block[:, :, 0] >= 190).all()
    for number in range(len(lines)):
        assert (block[14 * number : 14 * (number + 1), :, 1] == 0).any()
    assert (block[:, -2:] == 255).all()  # nothing is cut off
    assert _sheet.wrapped('', (0, 0, 0), 160) == []


def test_command_writes_the_sheet(root, tmp_path, capsys):
    path = tmp_path / 'docs' / 'sheet.png'
    words = [str(root / 'made'), '--index', str(root / 'index'), '--width', str(WIDTH)]
    assert main([*words, '--out', str(path)]) == 0
    sheet = translated_sheet(root / 'made', root / 'index', 6, WIDTH)
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), sheet)
    assert f'320 x {len(sheet)} pixels -> {path}' in capsys.readouterr().out
    with pytest.raises((OSError, cv2.error)):
        main([*words, '--out', str(tmp_path / 'sheet.txt')])


def test_what_cannot_be_shown_is_named(root, tmp_path):
    def sheet(folder=root / 'made', frames=1, width=WIDTH, show='all'):
        return translated_sheet(folder, root / 'index', frames, width, show)

    with pytest.raises(ValueError, match='--frames must be >= 1, got 0'):
        sheet(frames=0)
    with pytest.raises(ValueError, match='--width must be >= 1, got 0'):
        sheet(width=0)
    append_manifest(tmp_path, [line('night/0.png', 0)])
    with pytest.raises(ValueError, match='no picture to show with --show rejected'):
        sheet(tmp_path, show='rejected')
    with pytest.raises(FileNotFoundError, match=r'picture not found at .*night/0.png'):
        sheet(tmp_path)
    (tmp_path / 'night').mkdir()
    (tmp_path / 'night/9.png').write_bytes((root / 'made/night/0.png').read_bytes())
    (tmp_path / 'manifest.jsonl').unlink()
    append_manifest(tmp_path, [line('night/9.png', 9)])
    with pytest.raises(ValueError, match='index has no frame frame-9; name the index'):
        sheet(tmp_path)
