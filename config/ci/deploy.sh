#!/usr/bin/env bash
# Deploys a version with Cutover, follows the rollout to its end, and exits with a code that any CI understands:
# 0 promoted, 5 rolled back, 6 undecided, anything else: it could not start, or was aborted.
#
#   CUTOVER_ADMIN_URL=https://cutover.example.com:9700 CUTOVER_TOKEN=… VERSION=2.0.0 bash config/ci/deploy.sh
#
# Also used: CUTOVER_SERVICE, ORIGIN, FUNCTIONS (separated by spaces), REASON, TIMEOUT, THROUGH_WATCH=true, and CUTOVER (the path of
# the binary).
set -uo pipefail

: "${VERSION:?set VERSION to the version to deploy}"
# An empty variable counts as unset.
[ -n "${CUTOVER_SERVICE:-}" ] || unset CUTOVER_SERVICE
[ -n "${CUTOVER_ADMIN_URL:-}" ] || unset CUTOVER_ADMIN_URL

arguments=(deploy "$VERSION" --wait --timeout "${TIMEOUT:-2h}")
[ -n "${ORIGIN:-}" ] && arguments+=(--origin "$ORIGIN")
[ -n "${REASON:-}" ] && arguments+=(--reason "$REASON")
[ "${THROUGH_WATCH:-false}" = true ] && arguments+=(--through-watch)
for function in ${FUNCTIONS:-}; do
    arguments+=(--function "$function")
done

"${CUTOVER:-cutover}" "${arguments[@]}"
code=$?
case $code in
    0) result=promoted ;;
    5) result=rolled_back ;;
    6) result=undecided ;;
    *) result=aborted ;;
esac
# How GitHub passes a value to later steps.
[ -n "${GITHUB_OUTPUT:-}" ] && echo "result=$result" >>"$GITHUB_OUTPUT"
[ $code -eq 0 ] || echo "$VERSION: $result" >&2
exit $code
