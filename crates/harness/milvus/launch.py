"""Configures the Milvus server of the `milvus` package, then becomes it.

The package's own `milvus-server` stays in front of the server as a parent that
signals don't pass, picks the health port by itself and leaves embedded etcd on
its default ports. Here every port is the caller's, and the process that was
started is the server itself.

Usage: launch.py unpack BASE | launch.py run SETTINGS_JSON
"""

import json
import os
import stat
import sys
from pathlib import Path

import milvus

# No setting or variable puts it elsewhere.
RUNTIME = Path("/tmp/milvus")

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


def share_runtime_folder():
    """Lets the servers of all users in; the first one would keep the folder for itself."""
    try:
        RUNTIME.mkdir(exist_ok=True)
        # In a folder that is everybody's, the name may be a link that another user has put there.
        folder = os.open(RUNTIME, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        is_ours = os.fstat(folder).st_uid == os.getuid()
        if is_ours:
            os.fchmod(folder, 0o1777)
        os.close(folder)
    except OSError as error:
        sys.exit(f"{RUNTIME}, where every Milvus keeps its server's id: {error.strerror}")
    if not is_ours and not (os.access(RUNTIME, os.W_OK) and RUNTIME.stat().st_mode & stat.S_ISVTX):
        sys.exit(
            f"{RUNTIME} is another user's, and every Milvus keeps its server's id there; "
            f"ask for: chmod 1777 {RUNTIME}"
        )


def run(settings):
    base = Path(settings["base"])
    (base / "configs").mkdir(parents=True, exist_ok=True)
    share_runtime_folder()
    # The server that this process becomes leaves a file of this name behind.
    (base / "server-id").write_text(str(RUNTIME / f"server_id_{os.getpid()}"))
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
