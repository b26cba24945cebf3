"""Token buckets: how often something may be tried, and when again."""

import pytest

from server.auth.limits import Buckets, Limits, Rate
from server.fhir.errors import Throttled
from tests.contract.made import Clock

SECOND = 1_000_000


def refused(buckets: Buckets, key: str = "a") -> int:
    with pytest.raises(Throttled) as caught:
        buckets.take(key)
    assert caught.value.retry_after_s is not None
    return caught.value.retry_after_s


def test_a_burst_goes_through_and_then_so_many_a_minute(clock: Clock) -> None:
    buckets = Buckets(Rate(3, 6), clock, "tries")
    for _ in range(3):
        buckets.take("a")

    assert refused(buckets) == 10
    clock.at += 4 * SECOND
    assert refused(buckets) == 6
    clock.at += 6 * SECOND
    buckets.take("a")
    assert refused(buckets) == 10


def test_one_key_does_not_use_up_another(clock: Clock) -> None:
    buckets = Buckets(Rate(1, 1), clock, "tries")
    buckets.take("a")
    buckets.take("b")

    assert refused(buckets) == 60


def test_a_bucket_is_never_fuller_than_full(clock: Clock) -> None:
    buckets = Buckets(Rate(2, 60), clock, "tries")
    buckets.take("a")
    clock.at += 3600 * SECOND
    buckets.give_back("a")
    buckets.take("a")
    buckets.take("a")

    assert refused(buckets) == 1


def test_a_clock_that_was_set_back_gives_nothing(clock: Clock) -> None:
    buckets = Buckets(Rate(1, 60), clock, "tries")
    buckets.take("a")
    clock.at -= 3600 * SECOND

    assert refused(buckets) == 1


def test_memory_is_bounded_whatever_names_are_tried(clock: Clock) -> None:
    buckets = Buckets(Rate(1, 1), clock, "tries", most_keys=10)
    buckets.take("first")
    for number in range(10):
        buckets.take(str(number))

    buckets.take("first")  # forgotten: the price of bounded memory
    assert refused(buckets, "9") == 60


def test_no_limit_is_no_limit(clock: Clock) -> None:
    buckets = Buckets(Rate.read("none"), clock, "tries")
    for _ in range(1000):
        buckets.take("a")


@pytest.mark.parametrize("text", ["", "5", "5/h", "0/min", "-1/min", "5+0/min", "a/min", "1e9+1"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Rate.read(text)


def test_logins_are_counted_by_name_and_by_address(clock: Clock) -> None:
    limits = Limits(clock, login_user=Rate(2, 6), login_address=Rate(3, 6))
    limits.login("anna", "10.0.0.1")
    limits.login(" ANNA", "10.0.0.2")
    with pytest.raises(Throttled, match="logins of this user"):
        limits.login("anna", "10.0.0.3")
    limits.login("bob", "10.0.0.1")
    limits.login("carl", "10.0.0.1")
    with pytest.raises(Throttled, match="logins from this address"):
        limits.login("dora", "10.0.0.1")


def test_a_login_that_succeeds_does_not_count(clock: Clock) -> None:
    limits = Limits(clock, login_user=Rate(1, 1), login_address=Rate(1, 1))
    for _ in range(5):
        limits.login("anna", "10.0.0.1")
        limits.logged_in("anna", "10.0.0.1")


def test_many_clients_behind_one_address_share_its_limit(clock: Clock) -> None:
    limits = Limits(clock, token=Rate(2, 6))
    limits.token("a", "10.0.0.1")
    limits.token("b", "10.0.0.1")
    with pytest.raises(Throttled):
        limits.token("c", "10.0.0.1")
    limits.token("c", "10.0.0.2")


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "192.0.2.2", False),
    ],
)
def test_who_has_a_whole_network_of_version_6_is_counted_as_one(
    clock: Clock, one: str, other: str, together: bool
) -> None:
    limits = Limits(clock, login_address=Rate(1, 1))
    limits.login("anna", one)
    if together:
        with pytest.raises(Throttled):
            limits.login("bob", other)
    else:
        limits.login("bob", other)
