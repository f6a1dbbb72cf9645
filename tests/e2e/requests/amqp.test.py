#!/usr/bin/env python3
"""amqp.test.py - every message published and confirmed, delivered and acknowledged, counted by the
program as pika and RabbitMQ count them."""
import socket

from common import ENV, Both, Trimtab, check, main, need, until
from servers import Rabbit

pika = need("pika")


def connect():
    return pika.BlockingConnection(pika.ConnectionParameters(
        "127.0.0.1", rabbit.port, heartbeat=0, blocked_connection_timeout=30))


def declare(channel, **arguments):
    """A queue of its own, by the broker's choice of name."""
    return channel.queue_declare("", exclusive=True, arguments=arguments or None).method.queue


def messages(channel, queue):
    return channel.queue_declare(queue, passive=True).method.message_count


class Publisher:
    """Publishes n messages, never more than `window` of them unconfirmed, over several channels, and
    counts what the broker says of each."""

    def __init__(self, queues, n, window, body=b"x" * 100, mandatory=False):
        self.queues, self.n, self.window, self.body = queues, n, window, body
        self.mandatory = mandatory
        self.channels = {}  # channel -> [published, confirmed, refused]
        self.error = None
        parameters = pika.ConnectionParameters("127.0.0.1", rabbit.port, heartbeat=0)
        self.connection = pika.SelectConnection(
            parameters, on_open_callback=self.opened, on_close_callback=self.closed)

    def run(self):
        """(confirmed, refused)"""
        self.connection.ioloop.call_later(60, self.too_late)
        self.connection.ioloop.start()
        check(not self.error, self.error)
        counts = list(self.channels.values())
        return sum(c[1] for c in counts), sum(c[2] for c in counts)

    def too_late(self):
        self.error = f"after 60 s: {list(self.channels.values())}"
        self.connection.ioloop.stop()

    def opened(self, connection):
        for queue in self.queues:
            connection.channel(on_open_callback=lambda c, q=queue: self.channel(c, q))

    def closed(self, connection, _):
        connection.ioloop.stop()

    def channel(self, channel, queue):
        counts = self.channels[channel] = [0, 0, 0]
        tags = {"next": 1}  # the lowest one that is neither confirmed nor refused
        settled = set()

        def confirmed(frame):
            method = frame.method
            kind = 1 if isinstance(method, pika.spec.Basic.Ack) else 2
            first = tags["next"] if method.multiple else method.delivery_tag
            for tag in range(first, method.delivery_tag + 1):
                if tag not in settled:
                    settled.add(tag)
                    counts[kind] += 1
            while tags["next"] in settled:
                tags["next"] += 1
            self.fill(channel, queue, counts)

        channel.confirm_delivery(confirmed, callback=lambda _: self.fill(channel, queue, counts))

    def fill(self, channel, queue, counts):
        while counts[0] < self.n and counts[0] - counts[1] - counts[2] < self.window:
            counts[0] += 1
            channel.basic_publish("", queue, self.body, mandatory=self.mandatory)
        if len(self.channels) == len(self.queues) and \
                all(c[1] + c[2] == self.n for c in self.channels.values()):
            self.connection.close()


def test_publish_one_by_one():
    """Each waits for its confirm."""
    both, n = Both(program, rabbit.port, "amqp"), 1000
    connection = connect()
    channel = connection.channel()
    queue = declare(channel)
    channel.confirm_delivery()
    for _ in range(n):
        channel.basic_publish("", queue, b"x" * 100)
    check(messages(channel, queue) == n, "the queue has another number of messages")
    connection.close()
    both.expect({"publish": n})


def published(queues, n, window, **more):
    both = Both(program, rabbit.port, "amqp")
    confirmed, refused = Publisher(queues, n, window, **more).run()
    check((confirmed, refused) == (n * len(queues), 0), f"{confirmed} confirmed, {refused} refused")
    both.expect({"publish": confirmed}, deep=True)


def shared_queues(n):
    """Queues that another connection sees, and what ends them."""
    connection = connect()
    channel = connection.channel()
    names = [f"shared{i}" for i in range(n)]
    for name in names:
        channel.queue_declare(name, auto_delete=False)
        channel.queue_purge(name)
    return connection, channel, names


def test_publish_in_windows():
    """Many unconfirmed at a time; the broker confirms several at once."""
    connection, channel, queues = shared_queues(1)
    published(queues, 20000, 500)
    check(messages(channel, queues[0]) == 20000, "messages")
    connection.close()


def test_publish_on_several_channels():
    connection, _, queues = shared_queues(4)
    published(queues, 3000, 100)
    connection.close()


def test_publish_large():
    """Bodies of several frames."""
    connection, _, queues = shared_queues(1)
    published(queues, 40, 10, body=b"\x01\x00\x01" * 200_000)
    connection.close()


def test_publish_unconfirmed():
    """Nobody answers: counted at once, not timed."""
    both, n = Both(program, rabbit.port, "amqp"), 2000
    connection = connect()
    channel = connection.channel()
    queue = declare(channel)
    for _ in range(n):
        channel.basic_publish("", queue, b"x")
    until("the messages", lambda: messages(channel, queue) == n)
    connection.close()
    both.expect({"publish": n}, untimed={"publish"})


def consumed(n, multiple=1, prefetch=100, auto_ack=False, reject=0):
    """Takes n messages that are there; acknowledges each, or so many at once, or rejects some."""
    connection = connect()
    channel = connection.channel()
    queue = declare(channel)
    for _ in range(n):
        channel.basic_publish("", queue, b"x" * 50)
    until("the messages", lambda: messages(channel, queue) == n)
    both = Both(program, rabbit.port, "amqp")
    channel.basic_qos(prefetch_count=prefetch)
    seen = rejected = 0
    for method, _, _ in channel.consume(queue, auto_ack=auto_ack, inactivity_timeout=20):
        check(method, f"only {seen} of {n} came")
        seen += 1
        if not auto_ack and seen % multiple == 0:
            if rejected < reject:
                rejected += 1
                channel.basic_nack(method.delivery_tag, requeue=False)
            else:
                channel.basic_ack(method.delivery_tag, multiple=multiple > 1)
        if seen == n:
            break
    channel.cancel()
    check(messages(channel, queue) == 0, "messages are left")
    connection.close()
    return both


def test_consume():
    consumed(2000).expect({"deliver": 2000}, deep=True)


def test_consume_many_at_once():
    """One acknowledgement for fifty."""
    consumed(2000, multiple=50).expect({"deliver": 2000}, deep=True)


def test_consume_without_acknowledgement():
    consumed(500, auto_ack=True).expect({"deliver": 500}, untimed={"deliver"})


def left_unacknowledged(leave):
    """A consumer that gets 20, acknowledges 12, and goes: the rest will be delivered anew."""
    connection = connect()
    channel = connection.channel()
    queue = declare(channel)
    channel.confirm_delivery()
    for _ in range(20):
        channel.basic_publish("", queue, b"x" * 100)
    both = Both(program, rabbit.port, "amqp")
    got = channel.consume(queue, inactivity_timeout=10)
    for n in range(20):
        method, _, body = next(got)
        check(body, "nothing came")
        if n < 12:
            channel.basic_ack(method.delivery_tag)
    connection.process_data_events(0)
    for watch in (both.inbound, both.outbound):
        watch.expect({"deliver": 12})
    leave(connection)
    for watch in (both.inbound, both.outbound):
        until("the rest to be unanswered", lambda w=watch: w.read().unanswered() == 8)
        watch.expect({"deliver": 12})


def test_consumer_closes():
    left_unacknowledged(lambda connection: connection.close())


def test_consumer_is_gone():
    left_unacknowledged(
        lambda connection: connection._impl._transport._sock.shutdown(socket.SHUT_RDWR))


def test_consumer_refuses():
    consumed(300, reject=40).expect({"deliver": 260}, {"deliver": 40}, deep=True)


def test_get():
    both = Both(program, rabbit.port, "amqp")
    connection = connect()
    channel = connection.channel()
    queue = declare(channel)
    channel.confirm_delivery()
    for _ in range(20):
        channel.basic_publish("", queue, b"x")
    for _ in range(20):
        method, _, _ = channel.basic_get(queue)
        channel.basic_ack(method.delivery_tag)
    check(channel.basic_get(queue)[0] is None, "a message is left")
    connection.close()
    both.expect({"publish": 20, "get": 21})


def test_refused_by_the_broker():
    """A queue that is full: what is beyond its length is nacked."""
    both = Both(program, rabbit.port, "amqp")
    connection = connect()
    channel = connection.channel()
    queue = declare(channel, **{"x-max-length": 10, "x-overflow": "reject-publish"})
    channel.confirm_delivery()
    refused = 0
    for _ in range(60):
        try:
            channel.basic_publish("", queue, b"x")
        except pika.exceptions.NackError:
            refused += 1
    connection.close()
    check(refused == 50, f"{refused} refused")
    both.expect({"publish": 10}, {"publish": 50})


def test_refused_in_windows():
    connection, channel, _ = shared_queues(0)
    channel.queue_declare("short", arguments={"x-max-length": 10, "x-overflow": "reject-publish"})
    both = Both(program, rabbit.port, "amqp")
    confirmed, refused = Publisher(["short"], 2000, 200).run()
    channel.queue_delete("short")
    connection.close()
    check(confirmed + refused == 2000 and refused > 0, f"{confirmed} confirmed, {refused} refused")
    both.expect({"publish": confirmed}, {"publish": refused}, deep=True)


def test_returned():
    """No queue for a mandatory message: it comes back, then it is confirmed. An error."""
    both = Both(program, rabbit.port, "amqp")
    connection = connect()
    channel = connection.channel()
    queue = declare(channel)
    channel.confirm_delivery()
    returned = 0
    for i in range(60):
        try:
            channel.basic_publish("", queue if i % 3 else "nosuch", b"x" * 3000, mandatory=True)
        except pika.exceptions.UnroutableError:
            returned += 1
    connection.close()
    check(returned == 20, f"{returned} returned")
    both.expect({"publish": 40}, {"publish": 20})


def test_channel_closed():
    """By publishing to an exchange that is not there: one error each; and a queue that is not there."""
    both = Both(program, rabbit.port, "amqp")
    connection = connect()
    for _ in range(10):
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", declare(channel), b"x")
        try:
            channel.basic_publish("nosuch", "", b"x")
            check(False, "the channel was not closed")
        except pika.exceptions.ChannelClosedByBroker:
            pass
    for _ in range(5):
        channel = connection.channel()
        try:
            channel.queue_declare("nosuch", passive=True)
            check(False, "the channel was not closed")
        except pika.exceptions.ChannelClosedByBroker:
            pass
    connection.close()
    both.expect({"publish": 10}, {None: 15}, untimed={"channel"})


if __name__ == "__main__":
    with Trimtab(ENV) as program, Rabbit() as rabbit:
        raise SystemExit(main([
            test_publish_one_by_one, test_publish_in_windows, test_publish_on_several_channels,
            test_publish_large, test_publish_unconfirmed, test_consume, test_consume_many_at_once,
            test_consume_without_acknowledgement, test_consumer_closes, test_consumer_is_gone, test_consumer_refuses, test_get,
            test_refused_by_the_broker, test_refused_in_windows, test_returned,
            test_channel_closed]))
