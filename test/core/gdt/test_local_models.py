import pytest

pytest.importorskip('safetensors')

from ssd_depth_core.gdt.local_models import loading


def test_missing_network_is_named_with_the_command_that_fetches_it():
    message = (
        'adapter a/b is not on this machine, or not whole: no such thing Fetch it with '
        r"`hf download a/b --include '\*\.json' "
        r"--include '\*\.txt' --include 'models/\*\.safetensors'"
    )
    with pytest.raises(FileNotFoundError, match=message), loading('adapter', 'a/b', 'models/'):
        raise OSError('no such thing\nand much more')


@pytest.mark.parametrize('error', [ValueError, RuntimeError, KeyError])
def test_folder_that_is_not_whole_is_not_fetched(tmp_path, error):
    with (
        pytest.raises(FileNotFoundError, match=f'{tmp_path.name} is not .* Name a whole folder'),
        loading('network', str(tmp_path)),
    ):
        raise error('cut')


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), loading('network', 'a/b'):
        1 / 0  # noqa: B018
