"""Which pictures are published when, until they are confirmed."""

from edge.delivery import FIRST_WAIT, LONGEST_WAIT, Delivery


def delivery(*sizes: int, max_bytes: int = 100, max_messages: int = 10) -> Delivery[int]:
    made: Delivery[int] = Delivery(max_bytes, max_messages)
    for key, size in enumerate(sizes):
        made.add(key, size)
    return made


def test_nothing_is_published_without_a_broker() -> None:
    one = delivery(1, 1)
    assert one.due(0) == []
    one.connected()
    assert one.due(0) == [0, 1]
    one.disconnected()
    assert one.due(1000) == []


def test_what_is_on_the_way_is_bounded_by_bytes_and_by_messages() -> None:
    large = delivery(60, 60, 60)
    large.connected()
    assert large.due(0) == [0]
    large.settle(0)
    assert large.due(0) == [1]
    many = delivery(*[1] * 5, max_messages=2)
    many.connected()
    assert many.due(0) == [0, 1]
    many.settle(1)
    assert many.due(0) == [2]


def test_a_message_larger_than_the_bound_is_sent_alone() -> None:
    one = delivery(500, 1)
    one.connected()
    assert one.due(0) == [0]
    assert one.due(1) == []
    one.settle(0)
    assert one.due(2) == [1]


def test_what_is_not_confirmed_is_repeated_ever_more_slowly() -> None:
    one = delivery(1)
    one.connected()
    assert one.due(0) == [0]
    times, now = [], 0.0
    for _ in range(8):
        now = one.next_repeat()
        assert one.due(now - 0.01) == []
        assert one.due(now) == [0]
        times.append(now)
    gaps = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert gaps[:3] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert gaps[-1] == LONGEST_WAIT
    one.settle(0)
    assert one.due(now + 10 * LONGEST_WAIT) == []
    assert len(one) == 0


def test_a_new_connection_begins_with_what_the_broker_may_have_forgotten() -> None:
    one = delivery(1, 1, 1, max_messages=2)
    one.connected()
    assert one.due(0) == [0, 1]
    one.disconnected()
    one.settle(0)  # a confirmation arrived before
    one.connected()
    assert one.due(1) == [1, 2]


def test_nothing_is_repeated_while_the_link_is_down() -> None:
    one = delivery(1)
    one.connected()
    one.due(0)
    one.linked(False, 1)
    assert one.due(1000) == []
    one.linked(True, 2000)
    assert one.due(2000) == []
    assert one.due(2000 + FIRST_WAIT) == [0]


def test_the_oldest_that_waits_can_be_dropped() -> None:
    one = delivery(60, 60, 60)
    one.connected()
    one.due(0)
    assert one.oldest_waiting() == 1
    assert one.settle(1)
    assert one.oldest_waiting() == 2
    one.settle(0)
    assert one.due(0) == [2]
    assert not one.settle(1)
