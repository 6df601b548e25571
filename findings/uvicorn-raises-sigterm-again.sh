#!/usr/bin/env bash
# A uvicorn server that shut down well after SIGTERM still dies of SIGTERM.
#
# uvicorn 0.54.0.
#
# SIGTERM lets running requests finish, ends the application's lifespan and logs "Finished server
# process". Then uvicorn puts the old handlers back and raises the signal once more, so that the
# process ends by the signal: a shell sees 143, subprocess sees -15, and a supervisor that counts
# anything but 0 as a failure (systemd takes SIGTERM for success, Kubernetes and supervisord say
# "exited 143") reports one. `Server.run` does not return, so nothing behind it runs.
# A program that has to end with 0 overrides `Server.capture_signals`.
#
# Output seen:
#     lifespan ended
#     exit status 143
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q uvicorn==0.54.0
cat > served.py <<'PYTHON'
import socket

import uvicorn


async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.complete"})
    print("up", flush=True)
    await receive()
    print("lifespan ended", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


listener = socket.create_server(("127.0.0.1", 0))
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
print("run returned", flush=True)
PYTHON
venv/bin/python served.py > out &
server=$!
until grep -q up out; do sleep 0.1; done
sleep 1
kill -TERM "$server"
status=0
wait "$server" || status=$?
grep "lifespan ended" out
echo "exit status $status"
[ "$status" = 143 ]
! grep "run returned" out
