import pytest
from safetensors.torch import save_file
from ssd_depth_core.models.weight_files import beside, fill, find_file, read_tensors, rename
import torch


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path / 'cache'))


def test_hub_out_of_reach_is_named_with_its_remedy(offline):
    with pytest.raises(FileNotFoundError, match='hf-hub:a/b cannot be had .* give its path'):
        find_file('hf-hub:a/b')


@pytest.mark.parametrize(
    ('source', 'asked'),
    [
        ('hf-hub:owner/name', ('owner/name', 'model.safetensors')),
        ('hf-hub:owner/name/folder/vits.pth', ('owner/name', 'folder/vits.pth')),
    ],
)
def test_hub_is_asked_for_the_named_file(source, asked, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        'ssd_depth_core.models.weight_files.hf_hub_download',
        lambda *arguments: seen.append(arguments) or str(tmp_path),
    )

    assert find_file(source) == tmp_path
    assert seen == [asked]


@pytest.mark.parametrize('source', ['hf-hub:', 'hf-hub:owner', 'hf-hub:owner/', 'hf-hub:/name'])
def test_half_a_hub_name_is_refused(source):
    with pytest.raises(ValueError, match='must be hf-hub:<owner>/<name>'):
        find_file(source)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.safetensors; name a local file or hf-h'):
        find_file(str(tmp_path / 'nothing.safetensors'))


def test_another_file_lies_in_the_same_place(tmp_path):
    assert beside('hf-hub:owner/name', 'config.json') == 'hf-hub:owner/name/config.json'
    assert beside('hf-hub:owner/name/a.pth', 'config.json') == 'hf-hub:owner/name/config.json'
    assert beside(str(tmp_path / 'a.pth'), 'b.json') == str(tmp_path / 'b.json')


def test_both_kinds_of_file_give_the_same_tensors(tmp_path):
    tensors = {'a': torch.arange(3.0), 'b.c': torch.ones(2, 2)}
    save_file(tensors, tmp_path / 'a.safetensors')
    torch.save(tensors, tmp_path / 'a.pth')

    for name in ('a.safetensors', 'a.pth'):
        found = read_tensors(tmp_path / name)
        assert found.keys() == tensors.keys()
        for key, value in tensors.items():
            torch.testing.assert_close(found[key], value)


class Trap:
    def __reduce__(self):
        return (print, ('run!',))


@pytest.mark.parametrize('name', ['a.safetensors', 'a.pth'])
def test_damaged_file_is_named(name, tmp_path):
    (tmp_path / name).write_bytes(b'no weights at all')

    with pytest.raises(ValueError, match=f'{name} are damaged .* download them again'):
        read_tensors(tmp_path / name)


def test_code_in_a_file_is_not_run(tmp_path, capsys):
    torch.save({'a': Trap()}, tmp_path / 'a.pth')

    with pytest.raises(ValueError, match='damaged or neither'):
        read_tensors(tmp_path / 'a.pth')
    assert capsys.readouterr().out == ''


def test_file_of_more_than_tensors_is_refused(tmp_path):
    torch.save({'model': {'a': torch.ones(1)}, 'epoch': 3}, tmp_path / 'a.pth')

    with pytest.raises(ValueError, match='must be a state dict of tensors alone'):
        read_tensors(tmp_path / 'a.pth')


def test_renaming_joins_and_accounts_for_every_key():
    tensors = {
        'q': torch.zeros(2, 3),
        'k': torch.ones(2, 3),
        'x': torch.ones(1),
        'y': torch.ones(1),
    }

    renamed = rename(tensors, {'qk': ('q', 'k'), 'z': ('x',)}, {'y', 'absent'}, 'here')

    assert renamed.keys() == {'qk', 'z'}
    torch.testing.assert_close(renamed['qk'], torch.cat([torch.zeros(2, 3), torch.ones(2, 3)]))


def test_missing_and_unexpected_keys_are_named():
    with pytest.raises(ValueError, match='here: another arch.* missing: b, unexpected: c$'):
        rename({'a': torch.ones(1), 'c': torch.ones(1)}, {'a': ('a',), 'b': ('b',)}, (), 'here')


def test_long_lists_of_keys_are_cut():
    with pytest.raises(ValueError, match='missing: 0, 1, 2, 3 and 2 more, unexpected: none'):
        rename({}, {str(i): (str(i),) for i in range(6)}, (), 'here')


def test_filling_names_wrong_shapes_and_then_changes_nothing():
    linear = torch.nn.Linear(2, 3)
    before = linear.weight.detach().clone()

    with pytest.raises(ValueError, match=r'bias is \(2,\), not \(3,\)'):
        fill(linear, {'weight': torch.zeros(3, 2), 'bias': torch.zeros(2)}, 'here')
    torch.testing.assert_close(linear.weight, before)


def test_filling_leaves_what_is_to_be_kept():
    linear = torch.nn.Linear(2, 3)
    bias = linear.bias.detach().clone()

    fill(linear, {'weight': torch.zeros(3, 2)}, 'here', kept=('bias',))

    assert not linear.weight.any()
    torch.testing.assert_close(linear.bias, bias)


def test_filling_names_what_has_no_partner():
    with pytest.raises(ValueError, match='here: .* without a place: extra, left empty: bias$'):
        fill(torch.nn.Linear(2, 3), {'weight': torch.zeros(3, 2), 'extra': torch.ones(1)}, 'here')
