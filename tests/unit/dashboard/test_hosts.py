"""Host headers: ours and those that another page could make a browser send."""

import pytest

from tuner.dashboard.hosts import LOOPBACK, host_of, is_loopback, is_our_host


@pytest.mark.parametrize(
    "header", ["127.0.0.1:8090", "localhost", "LOCALHOST:9000", "[::1]:8090", "[0:0:0:0:0:0:0:1]"]
)
def test_loopback_names_are_ours_whatever_the_port(header):
    assert is_our_host(header, LOOPBACK, "127.0.0.1")


@pytest.mark.parametrize(
    "header",
    [
        "evil.example",
        "evil.example:8090",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example@localhost",
        "localhost:8090@evil.example",
        "localhost evil",
        "localhost,evil.example",
        "localhost:port",
        "10.0.0.9",
        "2130706433",
        "0x7f.1",
        "[::1",
        "[::1]x",
        "[localhost]",
        "",
        "\uff4cocalhost",
        "localhost\n",
    ],
)
def test_others_are_not(header):
    assert not is_our_host(header, LOOPBACK, "127.0.0.1")


def test_the_address_that_was_reached_is_ours_a_name_for_it_is_not():
    assert is_our_host("10.0.0.5:8090", LOOPBACK, "10.0.0.5")
    assert not is_our_host("10.0.0.6:8090", LOOPBACK, "10.0.0.5")
    assert not is_our_host("node1", LOOPBACK, "node1")
    assert is_our_host("node1:8090", {*LOOPBACK, "node1"}, "10.0.0.5")


def test_hosts_are_read_without_their_port():
    assert host_of("Node1.example:80") == "node1.example"
    assert host_of("[FE80::1]:80") == "fe80::1"
    assert host_of("a/b") is None


@pytest.mark.parametrize(
    ("host", "is_it"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("node1", False)],
)  # fmt: skip
def test_loopback_addresses_are_known(host, is_it):
    assert is_loopback(host) is is_it
