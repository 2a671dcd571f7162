import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('safetensors')

from ssd_depth_core.learning.tensor_file import (  # noqa: E402
    load_strictly,
    read_tensors,
    write_tensors,
)
from torch import nn  # noqa: E402


def test_tensors_and_header_come_back(tmp_path):
    path = tmp_path / 'a.safetensors'
    tensors = {
        'a': torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        'b': torch.tensor(7),
    }
    write_tensors(path, {'old': torch.zeros(3)}, {}, 'thing')
    write_tensors(path, tensors, {'key': 'a text'}, 'thing')
    found, header = read_tensors(path, 'thing', 'make one')
    assert header == {'key': 'a text'}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], tensors[key]) for key in tensors)
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_named(tmp_path):
    path = tmp_path / 'nowhere' / 'a.safetensors'
    message = r'thing .*a.safetensors cannot be written .*; there was none before; free 4.0 MB'
    with pytest.raises(OSError, match=message):
        write_tensors(path, {'a': torch.zeros(10**6)}, {}, 'thing')


def test_what_cannot_be_read_is_named(tmp_path):
    path = tmp_path / 'a.safetensors'
    with pytest.raises(FileNotFoundError, match='thing not found at .*; make one'):
        read_tensors(path, 'thing', 'make one')
    path.write_bytes(b'not a tensor in sight')
    with pytest.raises(ValueError, match='damaged or no safetensors .*copy it again, or make one'):
        read_tensors(path, 'thing', 'make one')


def test_weights_of_another_architecture_are_told_by_their_differences():
    module = nn.ModuleDict({'a': nn.Linear(2, 3), 'b': nn.Linear(3, 1)})
    before = {key: value.clone() for key, value in module.state_dict().items()}
    weights = {
        'a.weight': torch.zeros(3, 9),
        'a.bias': torch.zeros(3),
        'c.bias': torch.zeros(1),
        'c.weight': torch.zeros(1),
        'd': torch.zeros(1),
    }
    with pytest.raises(ValueError, match='the file is of another architecture') as error:
        load_strictly(module, weights, 'the file')
    assert str(error.value).partition(': ')[2] == (
        '2 weights are missing, first b.bias; 3 weights have no place, first c.bias; '
        '1 weights have another shape, first a.weight (3, 9) for (3, 2)'
    )
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
