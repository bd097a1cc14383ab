# A stand-in for Milvus's image, for tests without a registry: the embedded server with the official image's layout.
FROM milvus-otel-test/base
COPY bin /milvus/bin
COPY configs /milvus/configs
ENV PATH=/milvus/bin:$PATH LD_LIBRARY_PATH=/milvus/bin
WORKDIR /milvus
# Later versions read user.yaml themselves. This one doesn't, so the file is appended; configuration.py removed the same block.
ENTRYPOINT ["sh", "-c", "cat configs/user.yaml >> configs/milvus.yaml && exec \"$@\"", "sh"]
