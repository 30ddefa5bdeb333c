"""Known bugs, put into the daemon and the library one at a time: the storm sees each.

    seeded.py [--quick] [WORD...]

In a copy of the sources and of what is built. --quick: only those that show at once;
WORD: only those in whose name it is.
"""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import seeds

PARTS = ("Makefile", "client", "daemon", "proto", "tests/tests.mk", "tests/chaos", "tests/model", "build/gen",
         "build/proto", "build/daemon", "build/client", "build/tests/chaos", "build/ttylock", "build/ttylockd",
         "build/libttylock.so", "build/libttylock.so.0", "build/libttylock-run.so")
# Short, for what is lost shows by nothing coming; a run that goes on for so long has seen nothing.
PATIENCE_MS = "6000"
LIMIT_S = 60

# What it is, the file, what stands there, the bug, what the storm says, whether that is at once.
SEEDS = [
    ("a second one is granted it while one holds", "daemon/locktable.c",
     "\tlist_insert(t, &term->line, slot, before, link_line);\n\tif (term->line.first == slot) {\n",
     "\tif (r->id % 64 == 0 && term->line.first != SLOT_NONE)\n\t\tbefore = term->line.first;\n"
     "\tlist_insert(t, &term->line, slot, before, link_line);\n\tif (term->line.first == slot) {\n",
     r"two holders|came while .* held|is served after", True),
    ("who is released by force is not told", "daemon/tell.c",
     "\tname_caller(by, e.body.lock_status.by, sizeof(e.body.lock_status.by));\n\ttell_owner(",
     "\tif (state == ttylock_State_STATE_RELEASED)\n\t\treturn;\n\ttell_owner(",
     r"never heard that it was released by force", False),
    ("a release by force never succeeds", "daemon/steer.c",
     "\tif (view.holds != want_holder) {\n", "\tif (view.holds || want_holder) {\n",
     r"released by force: only 0 of", False),
    ("a waiter is lost", "daemon/locktable.c",
     "\tif (first == SLOT_NONE || request_at(t, first)->holds)\n\t\treturn;\n",
     "\tif (first == SLOT_NONE || request_at(t, first)->holds || request_at(t, first)->id % 64 == 0)\n"
     "\t\treturn;\n",
     r"lost: \d+ are not served|not by the rules", False),
    ("the terminal stays with the dead", "daemon/absent.c",
     "\tabsent_end(arg);\n}\n\nstatic struct absent *absent_find", "\t(void)arg;\n}\n\nstatic struct absent *absent_find",
     r"lost: \d+ are not served|requests of nobody are left", False),
    ("the second is served before the first", "daemon/locktable.c",
     "\trequest_unwait(t, first);\n\trequest_hold(t, first, grant);\n",
     "\tuint32_t second = request_at(t, first)->line.next;\n"
     "\tif (request_at(t, first)->id % 16 == 0 && second != SLOT_NONE && !request_at(t, second)->holds) {\n"
     "\t\tlist_remove(t, &((struct terminal *)(uintptr_t)term)->line, second, link_line);\n"
     "\t\tlist_insert(t, &((struct terminal *)(uintptr_t)term)->line, second, first, link_line);\n"
     "\t\tfirst = second;\n\t}\n"
     "\trequest_unwait(t, first);\n\trequest_hold(t, first, grant);\n",
     r"is served after", True),
    ("a grant is told and not recorded", "daemon/persist.c",
     "\t\tledger_grant(b->ledger, k->entry, place.granted);\n", "\t\t(void)place;\n",
     r"two holders|became \d|has state 3|not by the rules", True),
    ("who was served first is not after a restart", "daemon/persist.c",
     "\t\tledger_move(b->ledger, k->entry, place.under, place.rank);\n", "\t\t(void)place;\n",
     r"not by the rules", False),
    ("a holder that has not come back loses its place by time", "daemon/absent.c",
     "(view.holds && !k->untold)", "(view.holds && 0)",
     r"two holders|state 3|became \d|came while", False),
    ("an end that no daemon has read is not repeated", "client/lib/request.c",
     "\tr->owed = r->number != 0;\n", "\tr->owed = false;\n",
     r"is served after|lost: \d+ are not served|requests of nobody are left", False),
    ("the library does not heed a release by force", "client/lib/request.c",
     "\tcase ttylock_State_STATE_RELEASED:\n\t\treturn TTYLOCK_RELEASED;\n",
     "\tcase ttylock_State_STATE_RELEASED:\n\t\treturn TTYLOCK_GRANTED;\n",
     r"never heard that it was released by force|a holder has state 1", False),
]


def make(copy):
    copy.make("build/ttylockd", "build/libttylock.so", "build/tests/chaos/storm")


def storm(copy, seconds):
    """What went wrong, and all that was said."""
    done = copy.run(["build/tests/chaos/storm", str(seconds)], LIMIT_S * 4,
                    CHAOS_PATIENCE_MS=PATIENCE_MS)
    failed = re.search(r"^FAILED: (.*)$", done.stdout, re.M)
    kept = re.search(r"^all of it: (\S+)/ttylockd.log$", done.stdout, re.M)
    if kept:
        shutil.rmtree(kept[1])
    assert bool(failed) == (done.returncode != 0), done.stdout
    return failed and failed[1], done.stdout


def check_seed(copy, file, there, bug, wanted):
    with copy.bug(file, there, bug):
        make(copy)
        # What is only seen by the log's end shows in short runs.
        for seconds in (5, 15, LIMIT_S):
            said, output = storm(copy, seconds)
            if said:
                break
    assert said, f"the storm does not see it:\n{output}"
    assert re.search(wanted, said), f"it says: {said}"
    return said


def main(argv):
    words = [a for a in argv if a != "--quick"]
    with seeds.Copy(*PARTS) as copy:
        make(copy)
        return seeds.check_all(
            (what, lambda seed=seed: check_seed(copy, *seed)) for what, *seed, at_once in SEEDS
            if (at_once or "--quick" not in argv) and (not words or any(w in what for w in words)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
