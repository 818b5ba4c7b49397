# tasker, as small as its dependencies allow. `make image` builds it; docs/how-to/container.md tells how to use it.
ARG BASE=docker.io/library/python:3.13-slim

# What the extras of pyproject.toml need, separated by spaces; none at all is fine.
FROM ${BASE} AS wanted
ARG EXTRAS="database lineage notify objectstore postgres sftp transform zstd"
WORKDIR /wanted
COPY pyproject.toml requirements/wanted.py ./
RUN python wanted.py ${EXTRAS} >wanted.txt

FROM ${BASE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/build.txt requirements/image.txt ./
# All that any extra needs, each by its hash; what is not chosen below stays in this stage.
RUN python -m venv tools \
 && tools/bin/pip install --quiet --require-hashes --requirement=build.txt \
 && tools/bin/pip wheel --quiet --no-build-isolation --no-deps --require-hashes --requirement=image.txt --wheel-dir=/wheels
COPY --from=wanted /wanted/wanted.txt ./
# Bytecode is not compared with the files' times, which image builders may change. What `RUN pip install …` of an image
# made from this one adds, it adds as the user 10001: these folders let it, and by their sticky bit it changes nothing.
RUN python -m venv --without-pip /opt/tasker \
 && tools/bin/pip --python=/opt/tasker/bin/python install --quiet --no-compile --no-index --find-links=/wheels \
      --requirement=wanted.txt \
 && tools/bin/pip --python=/opt/tasker/bin/python freeze >/opt/tasker/constraints.txt \
 && python -m compileall -q -j 0 --invalidation-mode=unchecked-hash /opt/tasker/lib \
 && chgrp 10001 /opt/tasker /opt/tasker/bin /opt/tasker/lib/python*/site-packages \
 && chmod 1775 /opt/tasker /opt/tasker/bin /opt/tasker/lib/python*/site-packages

FROM dependencies AS own
COPY LICENSE README.md pyproject.toml ./
COPY tasks tasks
COPY tasker tasker
# What this adds is copied alone, so that the layer of the dependencies stays the same from one version to the next.
RUN tools/bin/pip wheel --quiet --no-build-isolation --no-deps --wheel-dir=/dist . \
 && tools/bin/pip --python=/opt/tasker/bin/python install --quiet --no-compile --no-deps --no-index /dist/*.whl \
 && python -m compileall -q -j 0 --invalidation-mode=unchecked-hash /opt/tasker/lib/python*/site-packages/tasker \
 && mkdir /own \
 && cp --archive --parents /opt/tasker/bin/tasker /opt/tasker/lib/python*/site-packages/tasker \
      /opt/tasker/lib/python*/site-packages/tasker-*.dist-info /own

FROM ${BASE}
# Official images have no bytecode of Python's own library, and who may write nothing would compile it at each start.
# The state's folder is the group root's too, as clusters are that give each container a user of its own.
RUN python -m compileall -q -j 0 --invalidation-mode=unchecked-hash \
      -x '/(dist-packages|ensurepip|idlelib|lib2to3|pydoc_data|site-packages|test|tests|tkinter|turtledemo)/' \
      "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && useradd --uid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin tasker \
 && install --directory --owner=10001 --group=0 --mode=0770 /var/lib/tasker
COPY --from=dependencies /opt/tasker /opt/tasker
COPY --from=own /own /
# Examples, to be covered by a folder that is mounted, or joined by what an image made from this one copies.
COPY conf.d /etc/tasker/conf.d
COPY tasks /etc/tasker/tasks

ENV PATH=/opt/tasker/bin:${PATH} \
    HOME=/tmp \
    PIP_PYTHON=/opt/tasker/bin/python \
    PIP_CONSTRAINT=/opt/tasker/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    TASKER_HTTP=:9090 \
    TASKER_STATE=/var/lib/tasker
WORKDIR /etc/tasker
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["tasker", "health"]
ENTRYPOINT ["tasker"]
CMD ["watch"]

ARG BASE
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tasker" \
      org.opencontainers.image.description="A configuration-driven orchestrator: a HOCON file, a folder of tasks, one process" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
