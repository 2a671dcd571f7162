import pytest
from ssd_depth_core.conditions import condition_of, CONDITIONS, RENDERED_CONDITIONS


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
    assert condition in RENDERED_CONDITIONS


def test_what_cannot_be_rendered_comes_last() -> None:
    # Skies are drawn from a condition's place: a rendered set must not change with this list.
    rendered = ('day-clear', 'night', 'day-rain', 'night-rain', 'fog', 'snow')
    assert rendered == RENDERED_CONDITIONS
    assert (*rendered, 'low-sun') == CONDITIONS
