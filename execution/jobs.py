"""A claimed run as a job: everything that the runner needs, its secrets resolved."""

from __future__ import annotations

from backend.catalogue import effective, git_credentials, keys
from backend.models import Key, Run
from backend.people import tokens
from backend.runs import history, plans
from backend.states import addresses, sensitive, states, transfers
from backend.transactions import Installation, Transaction
from execution import repositories
from runner.job import (
    ApprovedPlan,
    Backend,
    GitCredential,
    Installs,
    Job,
    LastApply,
    Limits,
    Login,
    Mirrors,
    ProviderCache,
    RefRules,
    RoomLimits,
    Source,
    SshKey,
    Variable,
)
from runner.sources import refs


def resolve(tx: Transaction, run: Run) -> Job:
    """The job of a run that was just claimed: its secrets resolved, its credential minted.

    For Stateroom itself. Raises Unreadable when a sealed value does not open, and SourceError when
    the template does not allow the ref any more.
    """
    db, here = tx.db, tx.here
    template, workspace, project = run.template, run.workspace, run.workspace.project
    state = states.of_workspace(db, workspace)
    settings = here.settings
    rules = RefRules(template.ref, tuple(template.allowed_refs))
    shares_secrets = refs.judge(run.ref, rules).is_merged or template.secrets_for_pull_requests
    given = [
        Variable(v.name, v.value, v.kind, v.sensitive, v.type)  # type: ignore[arg-type]  # as below
        for v in effective.opened(db, here.keyring, workspace, run)
    ]
    plan = plans.approved(tx, run)
    at = addresses.of_workspace(settings.url, project.name, workspace.name)
    return Job(
        run_id=run.id,
        epoch=run.epoch,
        operation=run.operation,  # type: ignore[arg-type]  # the row was checked when it was queued
        source=Source(
            url=template.repository,
            # the commit of an approved plan was allowed when it was planned, by the same rules
            ref=run.ref or template.ref if plan is None else plan.commit,
            also=None if plan is None else run.ref or template.ref,
            rules=rules if plan is None else None,
            path=template.path,
            credential=_credential(here, template.key),
            submodules=template.submodules,
            lfs=template.lfs,
            known_hosts=project.known_hosts,
            accept_new_host_keys=project.accept_new_host_keys,
            policy=repositories.policy(settings),
            mirrors=Mirrors(
                settings.mirrors_dir,
                f"{project.id} {template.key_id or '-'}",
                settings.max_mirror_bytes,
            ),
        ),
        backend=Backend(
            address=at.address,
            lock_address=at.lock_address,
            unlock_address=at.unlock_address,
            username="run",
            password=tokens.issue_for_run(db, run, state.id),
        ),
        tool=template.tool,  # type: ignore[arg-type]  # as above
        tool_version=template.tool_version if plan is None else plan.tool_version,
        approved=None
        if plan is None
        else ApprovedPlan(plan.commit, plan.lock_sha256, run.changes or {}),
        backend_mode=template.backend_mode,  # type: ignore[arg-type]  # as above
        override_file=template.override_file,
        ignored_wrappers=tuple(template.ignored_wrappers),
        standing=transfers.standing(db, state, here.keyring, here.blobs),
        elsewhere=transfers.elsewhere(db, workspace),
        known_secrets=sensitive.known(db, state, here.keyring, here.blobs),
        last_apply=_last_apply(tx, run),
        targets=tuple(run.targets),
        replace=tuple(run.replace),
        allow_older=run.allow_older,
        start_empty=run.start_empty or workspace.start_empty,
        cli_workspace=run.cli_workspace,
        workspace=workspace.name,
        own_backend=workspace.own_backend,
        variables=tuple(v for v in given if shares_secrets or not v.sensitive),
        variable_files=(*template.variable_files, *workspace.variable_files),
        backend_config_files=(*template.backend_config_files, *workspace.backend_config_files),
        withheld=tuple(v.name for v in given if v.sensitive and not shares_secrets),
        module_key=_module_key(here, workspace.module_key),
        git_credentials=_git_credentials(tx, run),
        work_root=settings.work_dir,
        tools_dir=settings.tools_path,
        installs=Installs(settings.tools_mirror, settings.tools_key)
        if settings.tools_install
        else None,
        provider_mirror=settings.provider_mirror,
        provider_cache=ProviderCache(
            settings.providers_path, project.id, settings.max_provider_cache_bytes
        ),
        workspace_id=workspace.id,
        sandbox=settings.sandbox,
        readable=settings.readable,
        hidden=settings.hidden,
        users=settings.users,
        room=RoomLimits(
            settings.run_memory_bytes,
            settings.run_processes,
            settings.run_open_files,
            settings.run_disk_bytes,
            settings.run_cpu_seconds,
        ),
        limits=Limits(
            command=settings.run_timeout_seconds,
            steps=template.timeouts,
            stop_grace=settings.stop_grace_seconds,
            state=settings.max_state_bytes,
            plan=settings.max_plan_bytes,
        ),
    )


def _last_apply(tx: Transaction, run: Run) -> LastApply | None:
    last = history.last_apply(tx.db, run.workspace)
    if last is None or last.commit is None:
        return None
    return LastApply(last.id, last.commit, last.repository, last.path)


def _credential(here: Installation, key: Key | None) -> SshKey | Login | None:
    if key is None or key.kind == "none":
        return None
    secret = keys.opened(here.keyring, key)
    if key.kind == "ssh":
        return SshKey(secret["private_key"], secret.get("passphrase"))
    return Login(secret["username"], secret["password"])


def _git_credentials(tx: Transaction, run: Run) -> tuple[GitCredential, ...]:
    found = git_credentials.of_workspace(tx.db, run.workspace)
    opened = [(one.prefix, _credential(tx.here, one.key)) for one in found]
    return tuple(GitCredential(prefix, key) for prefix, key in opened if key is not None)


def _module_key(here: Installation, key: Key | None) -> SshKey | None:
    credential = _credential(here, key)
    return credential if isinstance(credential, SshKey) else None
