"""Which host keys ssh is told to trust."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runner.sources import host_keys
from tests.support.sshd import host_key

# Of each host, what its owner publishes.
PUBLISHED = {
    # docs.github.com, "GitHub's SSH key fingerprints"
    "github.com": {
        "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
        "SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM",
        "SHA256:uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s",
    },
    # docs.gitlab.com, "SSH host keys fingerprints"
    "gitlab.com": {
        "SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8",
        "SHA256:HbW3g8zUjNSksFbqTiUWPWg2Bq1x8xdGUrliXFzSnUw",
        "SHA256:ROQFvPThGrW4RuWLoL9tq9I9zJ42fK4XywyRtbOz/EQ",
    },
    # support.atlassian.com, "Configure SSH and two-step verification"
    "bitbucket.org": {
        "SHA256:ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM",
        "SHA256:FC73VB6C4OQLSCrjEayhMp9UMxS97caD/Yyi2bhW/J0",
        "SHA256:46OSHA1Rmj8E8ERTC6xkNcmGOw9oFxYr0WF6zWW8l1E",
    },
    # learn.microsoft.com, "Use SSH key authentication"; there is no other key
    "ssh.dev.azure.com": {"SHA256:ohD8VZEXGWo6Ez8GSEJQ9WpafgLFsOfLOtGGQCQo6Og"},
}
# The same servers on port 443: docs.github.com, "Using SSH over the HTTPS port", and about.gitlab.com,
# "GitLab.com now supports an alternate git+ssh port". Nothing like it was found for Bitbucket's.
PUBLISHED["[ssh.github.com]:443"] = PUBLISHED["github.com"]
PUBLISHED["[altssh.gitlab.com]:443"] = PUBLISHED["gitlab.com"] - {
    "SHA256:ROQFvPThGrW4RuWLoL9tq9I9zJ42fK4XywyRtbOz/EQ"
}


@pytest.fixture
def known_hosts(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def found_by_ssh(host: str, file: Path) -> set[str]:
    """The fingerprints that OpenSSH finds for a host."""
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-F", host, "-f", str(file)],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return {word for word in listed.split() if word.startswith("SHA256:")}


@pytest.mark.parametrize("host", sorted(PUBLISHED))
def test_the_shipped_host_keys_are_the_published_ones(host: str) -> None:
    shipped = Path(host_keys.__file__).with_name("known_hosts")

    assert found_by_ssh(host, shipped) == PUBLISHED[host]


def test_no_other_key_is_shipped() -> None:
    assert {line.split()[0] for line in host_keys.trusted("")} == set(PUBLISHED)


@pytest.mark.parametrize(
    "written",
    ["github.com", "gitea.example.com,GitHub.com", "git*.com", "?ithub.com,!gitlab.com", "hashed"],
)
def test_the_projects_own_keys_of_a_host_win_over_the_shipped_ones(
    written: str, known_hosts: Path
) -> None:
    own = f"{'github.com' if written == 'hashed' else written} {host_key().public}\n"
    known_hosts.write_text(own)
    if written == "hashed":
        subprocess.run(["ssh-keygen", "-H", "-f", known_hosts], check=True, capture_output=True)
        assert "github.com" not in known_hosts.read_text()
    theirs = found_by_ssh("github.com", known_hosts)

    known_hosts.write_text("\n".join(host_keys.trusted(known_hosts.read_text())) + "\n")

    assert len(theirs) == 1
    assert found_by_ssh("github.com", known_hosts) == theirs
    assert found_by_ssh("bitbucket.org", known_hosts) == PUBLISHED["bitbucket.org"]
    assert found_by_ssh("[ssh.github.com]:443", known_hosts) == PUBLISHED["[ssh.github.com]:443"]


@pytest.mark.parametrize(
    "line",
    [
        "# github.com ssh-ed25519 AAAA",
        "",
        "@revoked github.com {key}",
        "@cert-authority * {key}",
        "*,!github.com {key}",
        "|1|broken|hash {key}",
        "[github.com]:2222 {key}",
    ],
)
def test_a_line_that_gives_a_host_no_key_takes_none_from_it(line: str, known_hosts: Path) -> None:
    own = line.format(key=host_key().public)

    known_hosts.write_text("\n".join(host_keys.trusted(own)) + "\n")

    assert found_by_ssh("github.com", known_hosts) >= PUBLISHED["github.com"]
