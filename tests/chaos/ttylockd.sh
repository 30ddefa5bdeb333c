#!/bin/sh
# The daemon as the storm has it: nothing that it does is left out of its log.
exec "${CHAOS_DAEMON:-${0%/*}/../../../ttylockd}" --log-level debug --reclaim-grace "${CHAOS_GRACE:-10}" "$@"
