import logging
import sys
import types

import pytest
from ssd_depth_core.runtime.backends.tensorrt_library import load_library


def test_a_library_is_told_with_its_version(trt):
    library = load_library('tensorrt')
    assert (library.name, library.title, library.version) == ('tensorrt', 'TensorRT', '10.3.0')
    assert library.trt is trt


@pytest.mark.parametrize('version', ['8.6.1', '10.2.0.post1', '10.0', 'nightly'])
def test_an_old_library_is_refused(trt, version):
    trt.__version__ = version
    with pytest.raises(ImportError, match=f'TensorRT must be 10.3 or later, got {version}; on a'):
        load_library('tensorrt')


@pytest.mark.parametrize('version', ['10.3.0', '10.13.3.9', '11.4.0.106'])
def test_newer_libraries_are_taken(trt, version):
    trt.__version__ = version
    assert load_library('tensorrt').version == version


def test_each_form_has_its_own_oldest_version(trt, monkeypatch):
    trt.__version__ = '1.3.0'
    monkeypatch.setitem(sys.modules, 'tensorrt_rtx', trt)
    with pytest.raises(ImportError, match='TensorRT-RTX must be 1.4 or later, got 1.3.0'):
        load_library('tensorrt_rtx')


def test_a_library_whose_own_files_are_missing_is_told_apart(driver, monkeypatch):
    class Broken:
        def find_spec(self, name, *rest):
            if name == 'tensorrt':
                raise ImportError('libnvinfer.so.10: cannot open shared object file')

    monkeypatch.delitem(sys.modules, 'tensorrt', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [Broken(), *sys.meta_path])
    with pytest.raises(ImportError, match=r'cannot be imported \(libnvinfer.so.10: cannot open'):
        load_library('tensorrt')


def test_errors_are_kept_for_the_exception_and_warnings_go_to_the_log(trt, caplog):
    caplog.set_level(logging.INFO)
    library = load_library('tensorrt')
    severity = trt.ILogger.Severity
    library.logger.log(severity.ERROR, 'no\n  memory')
    library.logger.log(severity.INTERNAL_ERROR, 'at all')
    library.logger.log(severity.WARNING, 'slow')
    library.logger.log(severity.INFO, 'chatter')
    assert library.take_errors() == 'no memory; at all'
    assert library.take_errors() == 'TensorRT gives no reason'
    assert 'slow' in caplog.text
    assert 'chatter' not in caplog.text


def test_a_library_without_a_driver_is_told_in_words(trt):
    def refuse(logger):
        logger.log(trt.ILogger.Severity.ERROR, 'CUDA initialization failure with error: 35')
        raise TypeError('pybind11::init(): factory function returned nullptr')

    trt.Builder = refuse
    message = 'TensorRT 10.3.0 cannot start .*failure with error: 35.*check .* `nvidia-smi`'
    with pytest.raises(OSError, match=message):
        load_library('tensorrt').create('Builder')


def test_modules_without_a_version_are_no_library(monkeypatch, driver):
    monkeypatch.setitem(sys.modules, 'tensorrt', types.ModuleType('tensorrt'))
    with pytest.raises(ImportError, match='must be 10.3 or later, got none'):
        load_library('tensorrt')
