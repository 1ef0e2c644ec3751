#!/bin/sh
# Creates the bucket and the workers' own user, who may read, write and list but not delete. Safe to run again.
set -eu
mc alias set store http://minio:9000 "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD"
mc mb --ignore-existing store/roentgen
mc admin user add store "$WORKER_ACCESS_KEY" "$WORKER_SECRET_KEY"
mc admin policy create store roentgen-worker /infra/worker-policy.json
mc admin policy attach store roentgen-worker --user "$WORKER_ACCESS_KEY" || mc admin policy entities store --user "$WORKER_ACCESS_KEY" | grep -q roentgen-worker
