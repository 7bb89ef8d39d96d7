"""Histograms count observations by bucket."""

from controller.counters import Histogram


def test_an_observation_is_counted_in_its_bucket_and_all_larger_ones() -> None:
    histogram = Histogram((1.0, 5.0))
    for value in (0.5, 1.0, 3.0, 60.0):
        histogram.observe(value)
    assert list(histogram.buckets()) == [(1.0, 2), (5.0, 3), (float("inf"), 4)]
    assert (histogram.count, histogram.sum) == (4, 64.5)


def test_a_negative_observation_is_treated_as_zero() -> None:
    histogram = Histogram((1.0,))
    histogram.observe(-3600)
    assert (next(iter(histogram.buckets())), histogram.sum) == ((1.0, 1), 0.0)
