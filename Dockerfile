# One image, two commands: `stateroom server` and `stateroom worker` (compose.yaml).
# Both tools come from their official images. The Terraform in it is under the Business Source
# License 1.1, OpenTofu under the Mozilla Public License 2.0.
ARG PYTHON=3.13.14-slim-trixie@sha256:9662417aace5ae7b8e2609cce472b72a8958e134ba372808abe9cc1a0c0125e6
ARG TERRAFORM=1.15.5
ARG OPENTOFU=1.12.6

FROM hashicorp/terraform:${TERRAFORM} AS terraform
FROM ghcr.io/opentofu/opentofu:${OPENTOFU}-minimal AS opentofu

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/stateroom
COPY requirements/run.lock /src/requirements/run.lock
RUN /opt/stateroom/bin/pip install --require-hashes --only-binary :all: -r /src/requirements/run.lock
COPY . /src
RUN /opt/stateroom/bin/pip install --no-deps --no-build-isolation /src
# python-hcl2 writes its grammar cache into its own folder at its first use, which takes a second;
# the user of the running image may not write there
RUN /opt/stateroom/bin/python -c 'import hcl2; hcl2.loads("terraform {}\n")'

FROM python:${PYTHON}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends bubblewrap ca-certificates git openssh-client \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --home-dir /data --no-create-home --shell /usr/sbin/nologin stateroom \
 && install --directory --owner=stateroom --group=stateroom --mode=0700 /data
COPY --from=terraform /bin/terraform /usr/local/bin/terraform
COPY --from=opentofu /usr/local/bin/tofu /usr/local/bin/tofu
COPY --from=build /opt/stateroom /opt/stateroom
ENV PATH=/opt/stateroom/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    STATEROOM_DATA_DIR=/data \
    STATEROOM_HOST=0.0.0.0 \
    STATEROOM_PORT=8420
USER stateroom
VOLUME /data
EXPOSE 8420
STOPSIGNAL SIGTERM
ENTRYPOINT ["stateroom"]
CMD ["up"]
