import pytest
from ssd_depth_core.conditions import condition_of, CONDITIONS


@pytest.mark.parametrize(
    ('description', 'condition'),
    [
        ('Parking lot, barrier, exit parking lot', 'day-clear'),
        ('Night, big street, difficult lighting', 'night'),
        ('Rain, turn right, many parked cars', 'day-rain'),
        ('Night, after rain, many peds', 'night-rain'),
        ('Synthetic street, fog', 'fog'),
        ('Synthetic street, snow', 'snow'),
    ],
)
def test_condition_follows_words_of_description(description: str, condition: str) -> None:
    assert condition_of(description) == condition
    assert condition in CONDITIONS
