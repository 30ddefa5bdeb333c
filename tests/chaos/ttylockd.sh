#!/bin/sh
# The daemon as the storm has it: nothing that it does is left out of its log, and those
# that are stopped for long have not come back in time.
exec "${CHAOS_DAEMON:-${0%/*}/../../../ttylockd}" --log-level debug --reclaim-grace "${CHAOS_GRACE:-1}" "$@"
