"""Which repositories may be fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import SourceError
from runner.job import Source, SourcePolicy
from runner.sources.source import check
from runner.sources.url import admit, check_address

ANYWHERE = SourcePolicy(private_hosts=True)


def refusal(source: Source) -> str:
    with pytest.raises(SourceError) as refused:
        check(source)
    return refused.value.code


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/network.git",
        "https://acme@dev.azure.com/acme/network/_git/network",
        "https://git.example.com:8443/network",
        "ssh://git@github.com/acme/network.git",
        "ssh://git@git.example.com:2222/acme/network.git",
        "git@github.com:acme/network.git",
        "git.example.com:acme/network",
        "https://[2001:4860:4860::8888]/network",
    ],
)
def test_the_usual_addresses_are_let_through(url: str) -> None:
    check(Source(url, policy=ANYWHERE))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ext::sh -c 'touch /tmp/owned'",
        "fd::17/network",
        "ext://sh",
        "--upload-pack=touch /tmp/owned",
        "-oProxyCommand=touch /tmp/owned",
        "-u",
        "ssh://-oProxyCommand=touch/network",
        "ssh://git@-oProxyCommand=touch/network",
        "ssh://-oProxyCommand=touch@git.example.com/network",
        "git@-oProxyCommand=touch:network",
        "-oProxyCommand=touch@git.example.com:network",
        "git.example.com:-network",
        "ssh://git.example.com/-network",
        "git://git.example.com/network",
        "ftp://git.example.com/network",
        "git+ssh://git.example.com/network",
        "javascript://git.example.com/network",
        "http://git.example.com/network",
        "https://ada:secret@git.example.com/network",
        "https://:secret@git.example.com/network",
        "ssh://git:secret@git.example.com/network",
        "https://git.example.com/network\n--upload-pack=touch",
        "https://git.example.com/net\x00work",
        "https://git.example.com/%0ahost=evil.example.com",
        "https://git.example.com/net work",
        "https://git.example.com\\@evil.example.com/network",
        "https://git.example.com@evil.example.com@other.example.com/network",
        "https://git.exam%2eple.com/network",
        "https://git.example.com",
        "https://git.example.com/#fragment",
        "https://git.example.com:0/network",
        "https://git.example.com:99999/network",
        "https:///network",
        "file:///etc",
        "/etc",
        "./network",
        "../network",
        "network",
        "C:\\network",
    ],
)
def test_a_hostile_or_unreadable_address_is_refused(url: str) -> None:
    assert refusal(Source(url, policy=ANYWHERE)) == "repository-url-refused"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "224.0.0.1",
        "[::1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
def test_private_local_and_metadata_hosts_are_refused(host: str) -> None:
    assert refusal(Source(f"https://{host}/network")) == "repository-host-refused"
    assert refusal(Source(f"ssh://git@{host}/network")) == "repository-host-refused"


def test_a_public_address_is_let_through_and_git_is_told_what_it_was() -> None:
    let_through = admit("https://8.8.8.8/network", SourcePolicy())

    assert let_through.resolved == ("8.8.8.8",)


def test_a_name_that_does_not_resolve_is_said() -> None:
    assert refusal(Source("ssh://git@git.invalid/network")) == "repository-unreachable"


def test_an_address_is_checked_without_asking_where_its_host_is() -> None:
    address = check_address("ssh://git@git.invalid:2222/network", SourcePolicy())

    assert (address.host, address.port, address.resolved) == ("git.invalid", 2222, ())


def test_plain_http_needs_an_administrator() -> None:
    allowed = SourcePolicy(private_hosts=True, plain_http=True)

    assert admit("http://git.example.com/network", allowed).scheme == "http"
    with pytest.raises(SourceError, match="STATEROOM_ALLOW_PLAIN_HTTP"):
        check_address("http://git.example.com/network", SourcePolicy())


def test_a_user_in_an_https_address_does_not_reach_git() -> None:
    assert admit("https://token@git.example.com/n", ANYWHERE).url == "https://git.example.com/n"


def test_a_local_repository_is_let_through_below_an_allowed_folder_only(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    (allowed / "network").mkdir(parents=True)
    (allowed / "way-out").symlink_to(tmp_path)
    policy = SourcePolicy(local_roots=(allowed,))

    check(Source(str(allowed / "network"), policy=policy))
    check(Source((allowed / "network").as_uri(), policy=policy))

    for outside in (
        tmp_path,
        allowed / "..",
        allowed / "way-out",
        Path("/etc"),
        Path(f"{allowed}-other"),
    ):
        assert refusal(Source(str(outside), policy=policy)) == "repository-url-refused"


@pytest.mark.parametrize(
    "ref",
    [
        *("", "-b", "--upload-pack=x", "a..b", "a b", "a\nb", "a~1", "a^", "a:b", "@{-1}", "@"),
        *("/a", "a/", "a//b", ".a", "a/.b", "a.", "a.lock", "a?", "a*", "[a", "a\\b", "x" * 256),
    ],
)
def test_a_ref_that_no_branch_can_have_is_refused(ref: str) -> None:
    assert refusal(Source("https://git.example.com/n", ref=ref, policy=ANYWHERE)) == "ref-invalid"


@pytest.mark.parametrize("ref", ["main", "release/1.2", "v1.2.3", "refs/pull/7/head", "größe"])
def test_a_ref_that_a_branch_can_have_is_let_through(ref: str) -> None:
    check(Source("https://git.example.com/n", ref=ref, policy=ANYWHERE))


@pytest.mark.parametrize(
    "path",
    ["", "/etc", "..", "a/../..", "a/..", "-a", "~", "a\nb", "a\x00", ".git", "a/.GIT/hooks"],
)
def test_a_path_that_leaves_the_repository_is_refused(path: str) -> None:
    source = Source("https://git.example.com/n", path=path, policy=ANYWHERE)

    assert refusal(source) == "path-invalid"
