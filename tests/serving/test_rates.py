"""A minute's window that moves: exactly as many as allowed, each of their own."""

from serving.rates import Rates


def test_exactly_as_many_as_allowed_and_each_kind_and_name_by_itself():
    rates = Rates({"caller": 3, "tenant": 5})
    verdicts = [rates.hit("caller", "a") for _ in range(5)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.remaining for verdict in verdicts] == [2, 1, 0, 0, 0]
    assert rates.hit("caller", "b").allowed
    assert [rates.hit("tenant", "a").allowed for _ in range(6)].count(True) == 5


def test_headers_say_what_is_left_and_when_to_come_again():
    rates = Rates({"caller": 1})
    first, second = (rates.hit("caller", "a").headers() for _ in range(2))
    assert first["RateLimit-Policy"] == '"caller";q=1;w=60'
    assert first["RateLimit"].startswith('"caller";r=0;t=')
    assert "Retry-After" not in first
    assert 1 <= int(second["Retry-After"]) <= 60
