import numpy as np

from gsv2.data.plan.order import Draw, draw_generator, draw_order


def test_every_place_has_its_own_numbers():
    places = [(draw, *rest) for draw in Draw for rest in [(0, 0), (0, 1), (1, 0), (0, 0, 1)]]
    drawn = {draw_generator(0, *place).random() for place in places}
    drawn |= {draw_generator(1, *place).random() for place in places}
    assert len(drawn) == 2 * len(places)
    assert (
        draw_generator(3, Draw.ASSIGNMENT, 5).random()
        == draw_generator(3, Draw.ASSIGNMENT, 5).random()
    )


def test_an_order_is_a_permutation_that_stays_the_same_for_ever():
    order = draw_order(6, np.random.default_rng(0))
    assert order.tolist() == [3, 2, 1, 0, 4, 5]
