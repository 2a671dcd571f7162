import subprocess
import sys

import pytest
from ssd_depth_core.runtime import build_engine
from ssd_depth_core.runtime.build_engine import main
from ssd_depth_core.runtime.predictor import SHIPPED_MODEL

pytest.importorskip('onnx')


@pytest.fixture
def opened(monkeypatch):
    """Note what is asked for instead of building it."""
    calls = []

    def open_backend(name, path, options, cache, progress):
        calls.append((name, path, options.max_batch, cache.folder))
        for done in (0.0, 0.3, 0.31, 1.0):
            progress('Building engine', done)

    monkeypatch.setattr(build_engine, 'open_backend', open_backend)
    monkeypatch.setattr(build_engine, 'check_backend', lambda path, spec, backend: {})
    monkeypatch.setattr(build_engine, '_introduce', lambda name: None)
    return calls


def test_the_shipped_student_is_built_unless_told_otherwise(opened, tmp_path):
    assert main(['--cache', str(tmp_path)]) == 0
    assert opened == [('tensorrt', SHIPPED_MODEL, 1, tmp_path)]


def test_options_reach_the_builder(opened, tmp_path):
    rest = ['--backend', 'tensorrt_rtx', '--max-batch', '6', '--cache', str(tmp_path)]
    model = SHIPPED_MODEL.with_suffix('.int8.onnx')
    assert main([str(model), *rest]) == 0
    assert opened == [('tensorrt_rtx', model, 6, tmp_path)]


def test_half_precision_is_written_first_and_built(opened, tmp_path, capsys):
    folder = tmp_path / 'models'
    assert main(['--float16', str(folder), '--cache', str(tmp_path)]) == 0
    assert [path for _, path, *_ in opened] == [folder / 'student.fp16.onnx']
    assert f'model in half precision: {folder}/student.fp16.onnx\n' in capsys.readouterr().out


def test_progress_is_printed_by_quarters_into_a_log(opened, tmp_path, capsys):
    main(['--cache', str(tmp_path)])
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [f'Building engine: {p} %' for p in (0, 25, 100)]
    assert printed.out == f'{tmp_path}: 0 engines, 0.0 MiB of 2048\n'


def test_a_short_phase_leaves_nothing_of_a_long_one_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    meter = build_engine.Meter()
    meter('another process is building', 0.0)
    meter('Building engine', 0.5)
    clear = '\033[K'
    assert capsys.readouterr().err == (
        f'\ranother process is building:   0 %{clear}\rBuilding engine:  50 %{clear}'
    )


@pytest.mark.parametrize('error', [OSError('no GPU'), ImportError('no GPU'), ValueError('no GPU')])
def test_every_fault_is_one_line(monkeypatch, capsys, error):
    def refuse(name):
        raise error

    monkeypatch.setattr(build_engine, '_introduce', refuse)
    assert main([]) == 2
    assert capsys.readouterr().err == 'error: no GPU\n'


def test_wrong_words_are_named_before_the_library_is_missed(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    with pytest.raises(SystemExit) as refused:
        main(['--max-batch', '0'])
    assert refused.value.code == 2
    assert '--max-batch must be at least 1, got 0' in capsys.readouterr().err
    assert main([str(tmp_path / 'none.onnx')]) == 2
    assert f'model not found at {tmp_path}/none.onnx' in capsys.readouterr().err
    assert main(['--float16', str(tmp_path / 'models')]) == 2
    assert (tmp_path / 'models' / 'student.fp16.onnx').is_file()
    assert 'Without an NVIDIA GPU there is nothing to build' in capsys.readouterr().err


def test_ctrl_c_ends_it(monkeypatch, capsys):
    def stop(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(build_engine, '_introduce', stop)
    assert main([]) == 130
    assert capsys.readouterr().err == 'stopped; what was finished is kept\n'


def test_the_real_command_ends_with_one_clear_line_where_there_is_no_tensorrt(tmp_path):
    blocked = 'import sys; sys.modules["tensorrt"] = None; '
    run = 'from ssd_depth_core.runtime.build_engine import main; sys.exit(main(sys.argv[1:]))'
    done = subprocess.run(
        [sys.executable, '-c', blocked + run, '--cache', str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={'PYTHONPATH': ':'.join(sys.path)},
    )
    assert done.returncode == 2
    assert done.stderr.startswith('error: TensorRT cannot be imported')
    assert done.stderr.count('\n') == 1
