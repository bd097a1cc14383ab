"""Configures the Milvus server of the `milvus` package, then becomes it.

The package's own `milvus-server` stays in front of the server as a parent that
signals don't pass, picks the health port by itself and leaves embedded etcd on
its default ports. Here every port is the caller's, and the process that was
started is the server itself.

Usage: launch.py unpack BASE | launch.py run SETTINGS_JSON
"""

import json
import os
import sys
from pathlib import Path

import milvus

ETCD = """\
listen-client-urls: {client}
advertise-client-urls: {client}
listen-peer-urls: {peer}
initial-advertise-peer-urls: {peer}
initial-cluster: default={peer}
"""


def unpack(base):
    # The package takes what has its marker for whole, though the file itself may be cut or gone.
    for marker in Path(base).glob("bin/*.md5"):
        marker.unlink()
    milvus._initialize_data_files(base)


def run(settings):
    base = Path(settings["base"])
    (base / "configs").mkdir(parents=True, exist_ok=True)
    ports = settings["ports"]

    config = milvus.MilvusServerConfig(data_dir=str(base))
    config.set("authorization_enabled", settings["authorization"])
    for key, value in (ports | settings["extra"]).items():
        config.set(key, value)
    # Not `config.resolve()`: its own look at the ports takes one for taken on which connections of an earlier
    # server are still winding down, though the server could listen on it.
    config.resolve_storage()
    config.write_config()

    etcd = base / "configs" / "etcd.yaml"
    etcd.write_text(
        ETCD.format(
            client=f"http://127.0.0.1:{ports['etcd_port']}",
            peer=f"http://127.0.0.1:{settings['etcd_peer_port']}",
        )
    )

    libraries = settings["bin"]
    search_path = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
    os.environ.update(
        {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(settings["metrics_port"]),
            "MILVUS_RUN_DIR": str(base / "run"),
            "ETCD_CONFIG_PATH": str(etcd),
            search_path: ":".join(filter(None, [libraries, os.environ.get(search_path)])),
        }
    )
    os.chdir(base)
    server = os.path.join(libraries, "milvus")
    os.execv(server, [server, "run", "standalone"])


if __name__ == "__main__":
    command, argument = sys.argv[1:]
    if command == "unpack":
        unpack(argument)
    else:
        run(json.loads(argument))
