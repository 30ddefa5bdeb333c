# The tests' own rules. A unit test says in its head which objects it links
# (`/* links: daemon/locktable.o -levent_core */`), so that each noun is tested
# with nothing but itself.

links = $(shell sed -n 's|.*/\* links: *\(.*[^ ]\) *\*/.*|\1|p' $(1))
objects = $(patsubst %,$(BUILD)/%,$(filter %.o tests/%.a,$(call links,$(1))))
libraries = $(filter-out %.o tests/%.a,$(call links,$(1)))

define unit_rule
$(BUILD)/tests/$(notdir $(1:.c=)): $(1) $(call objects,$(1))
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) -I. -DBUILD_DIR='"$$(BUILD)"' $$(cflags) $$(ldflags) -MMD -MP -o $$@ $$< \
		$(call objects,$(1)) $(call libraries,$(1)) -lcmocka
endef
$(foreach t,$(wildcard tests/unit/test_*.c tests/model/test_*.c tests/schedule/test_*.c),$(eval $(call unit_rule,$(t))))

$(BUILD)/tests/programs/%: tests/e2e/programs/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O0 -g -Wall -Wextra -Werror -D_GNU_SOURCE -MMD -MP -o $@ $< -pthread

# What a test preloads into others.
tests: $(BUILD)/tests/programs/allocations.so
$(BUILD)/tests/programs/%.so: tests/e2e/preloaded/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g -Wall -Wextra -Werror -D_GNU_SOURCE -MMD -MP -shared -fPIC -o $@ $<

# All of the schedules' harness: a test names this one in its head.
$(BUILD)/tests/schedule/harness.o: \
	$(patsubst %,$(BUILD)/tests/schedule/%.o,schedule report cast board hooks)
	$(CC) -r -nostdlib -o $@ $^

# The harness, and all that actors need who use the real library: a test of that
# names this one.
$(BUILD)/tests/schedule/theatre.o: $(BUILD)/tests/schedule/harness.o \
	$(patsubst %,$(BUILD)/tests/schedule/%.o,stage turn) $(BUILD)/tests/outside.o $(lib_o) $(crash_o) $(proto_o)
	$(CC) -r -nostdlib -o $@ $^
$(BUILD)/tests/schedule/stage.o: CPPFLAGS += -DBUILD_DIR='"$(BUILD)"'

# What a schedule (tests/schedule/schedule.h) preloads into a program, so without
# a sanitizer's runtime, and programs for it to drive.
$(BUILD)/tests/schedule_driver.so: override SAN :=
$(BUILD)/tests/schedule_driver.so: $(addprefix tests/schedule/,driver.c board.c hooks.c \
	board.h hooks.h)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(cflags) $(ldflags) -shared -o $@ $(filter %.c,$^)

$(BUILD)/tests/schedule/%: tests/schedule/programs/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(cflags) $(ldflags) -MMD -MP -o $@ $<

DRIVEN := $(BUILD)/tests/schedule_driver.so \
	$(patsubst tests/schedule/programs/%.c,$(BUILD)/tests/schedule/%,$(wildcard tests/schedule/programs/*.c))

# The daemon as a later version might be: its ledger's entries are longer.
later_o := $(DAEMON:%=$(BUILD)/tests/later/%.o)
$(BUILD)/tests/later/%.o: daemon/%.c | $(BUILD)/gen/ttylock.pb.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) '-DLEDGER_LATER=char later[72];' $(cflags) -MMD -MP -c -o $@ $<
$(BUILD)/tests/ttylockd_later: $(later_o) $(proto_o)
	$(CC) $(ldflags) -o $@ $^ $(NANOPB) -levent_core -lsystemd
$(BUILD)/tests/test_daemon_restart: | $(BUILD)/tests/ttylockd_later

.PHONY: tests
tests: $(UNITS) $(HELPERS) $(DRIVEN)

# What the client library is stressed with, as another program would link it.
$(BUILD)/tests/library/%: tests/library/%.c $(BUILD)/libttylock.so
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g -Wall -Wextra -Werror -D_GNU_SOURCE -Iclient/include $(SAN) -MMD -MP \
		-o $@ $< -pthread -L$(BUILD) -lttylock -Wl,-rpath,'$$ORIGIN/../..'

tests: $(patsubst tests/library/%.c,$(BUILD)/tests/library/%,$(wildcard tests/library/*.c))

# Faults: the wrappers of calls.py around the whole daemon, and around the library.
inject_py := /usr/bin/python3 tests/inject/calls.py
$(BUILD)/tests/inject/%.o: CPPFLAGS += -I.
$(BUILD)/inject/calls.c: tests/inject/calls.py
	@mkdir -p $(@D)
	$(inject_py) source >$@
# Its wrappers of variadic functions read more than was passed.
$(BUILD)/inject/calls.o: $(BUILD)/inject/calls.c
	$(CC) -std=gnu11 $(OPT) -D_GNU_SOURCE -I. -c -o $@ $<
# The daemon's with every call where its source has it: nothing inlined, nothing left by a
# jump.
$(BUILD)/injected/%.o: %.c | $(BUILD)/gen/ttylock.pb.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(cflags) -O0 -MMD -MP -c -o $@ $<
$(BUILD)/injected/daemon/main.o: override CFLAGS += -Dmain=daemon_main -Wno-missing-prototypes
inject_daemon_o := $(patsubst %,$(BUILD)/tests/inject/%.o,inject_daemon scenes scenes_play stage \
	past manager twist sweep inject player) $(BUILD)/tests/outside.o $(BUILD)/inject/calls.o
$(BUILD)/injected/ttylockd: $(inject_daemon_o) $(DAEMON:%=$(BUILD)/injected/daemon/%.o) $(proto_o)
	$(CC) -pie $(ldflags) $$($(inject_py) flags) -o $@ $^ $(NANOPB) -levent_core -lsystemd -lutil

# Beside the daemon and the command, where the library looks for them.
acts_o := $(patsubst %,$(BUILD)/tests/inject/%.o,inject_library rival acts acts_inside acts_crash acts_threads acts_world)
$(acts_o): CPPFLAGS += -Iclient/include
$(BUILD)/inject_library: $(acts_o) $(patsubst %,$(BUILD)/tests/inject/%.o,meeting debugger inject tally twist) \
		$(BUILD)/tests/outside.o $(BUILD)/inject/calls.o $(lib_o) $(crash_o) $(proto_o) | $(BUILD)/ttylockd $(BUILD)/ttylock
	$(CC) $(ldflags) $$($(inject_py) flags) -o $@ $^ $(NANOPB) -levent_core -lsystemd -lutil

# INJECT_CALLS: in so many of its calls each place of the daemon's fails, in each scene.
# INJECT_EVERY: only each so-many-th call of the library's, from the INJECT_FROM-th on.
INJECT_CALLS ?= 4
INJECT_EVERY ?= 1
INJECT_FROM  ?= 0

.PHONY: inject inject-daemon inject-library
inject: inject-daemon inject-library
inject-daemon: $(BUILD)/injected/ttylockd
	@/usr/bin/python3 tests/inject/daemon.py $(BUILD) $(INJECT_CALLS)
inject-library: $(BUILD)/inject_library
	@/usr/bin/python3 tests/inject/inject.py $(BUILD) library $(INJECT_EVERY) $(INJECT_FROM)

.PHONY: coverage mutants
coverage:
	@/usr/bin/python3 tests/coverage.py
mutants:
	@/usr/bin/python3 tests/mutants.py

# Storms of processes and of deaths of the daemon.
chaos_o := $(patsubst %,$(BUILD)/tests/chaos/%.o,board parts orders keeper)

# A library of the storm's own, beside which it finds a daemon that logs all it does.
# CHAOS_DAEMON, CHAOS_GRACE in the environment: another daemon, other seconds for those who
# have to come back.
$(BUILD)/tests/chaos/lib/libttylock.so.0: $(BUILD)/libttylock.so
	@mkdir -p $(@D)
	cp $< $@
$(BUILD)/tests/chaos/lib/ttylockd: tests/chaos/ttylockd.sh | $(BUILD)/ttylockd
	install -D -m 755 $< $@

storm_o := $(patsubst %,$(BUILD)/tests/chaos/%.o,storm anchor harm steerer worker stay stage typist expect)
$(BUILD)/tests/chaos/storm.o: CPPFLAGS += -DSOURCES='"$(CURDIR)"'
$(BUILD)/tests/chaos/storm: $(storm_o) $(chaos_o) $(BUILD)/tests/chaos/lib/libttylock.so.0 \
	$(BUILD)/tests/chaos/lib/ttylockd | $(BUILD)/ttylock $(BUILD)/libttylock-run.so
	$(CC) $(ldflags) -o $@ $(storm_o) $(chaos_o) -pthread -L$(BUILD) -lttylock \
		-Wl,-rpath,'$$ORIGIN/lib'

$(BUILD)/tests/chaos/herd: $(BUILD)/tests/chaos/herd.o $(chaos_o) $(BUILD)/libttylock.so
	$(CC) $(ldflags) -o $@ $(filter %.o,$^) -L$(BUILD) -lttylock -Wl,-rpath,'$$ORIGIN/../..'

tests: $(BUILD)/tests/chaos/storm $(BUILD)/tests/chaos/herd

# The storm for so many seconds, or until it has killed so often (0: no matter); then
# the herd. With a seed (0: any) the same chances are drawn again.
CHAOS_SECONDS ?= 60
CHAOS_KILLS   ?= 0
CHAOS_SEED    ?= 0
CHAOS_CLIENTS ?= 1000
CHAOS_DEATHS  ?= 1000
.PHONY: chaos chaos-asan chaos-tsan chaos-seeded chaos-storm
chaos-storm: $(BUILD)/tests/chaos/storm
	$(BUILD)/tests/chaos/storm $(CHAOS_SECONDS) $(CHAOS_KILLS) $(CHAOS_SEED)
chaos: chaos-storm chaos-seeded $(BUILD)/tests/chaos/herd all
	$(BUILD)/tests/chaos/herd $(CHAOS_CLIENTS) $(CHAOS_DEATHS)

# The storm with the sanitizers: all of it, and all but the daemon, which has no threads
# that share anything, under ThreadSanitizer.
chaos-asan:
	@$(MAKE) --no-print-directory BUILD=build/san \
		SAN="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer" \
		chaos-storm
chaos-tsan: $(BUILD)/ttylockd $(BUILD)/ttylock
	@$(MAKE) --no-print-directory BUILD=build/tsan SAN=-fsanitize=thread OPT="-O1 -g" \
		build/tsan/tests/chaos/storm
	CHAOS_DAEMON=$(CURDIR)/$(BUILD)/ttylockd build/tsan/tests/chaos/storm $(CHAOS_SECONDS) \
		$(CHAOS_KILLS) $(CHAOS_SEED)

# Whether the storm sees the bugs that it is there for.
chaos-seeded: $(BUILD)/tests/chaos/storm all
	@/usr/bin/python3 tests/chaos/seeded.py

# --- longer runs ------------------------------------------------------------

# Fuzzers: each names its objects like a unit test. FUZZ_SECONDS is for each of them,
# FUZZ_RUNS (0: any) the number of inputs, FUZZ_SEED (0: any) what they come from; an
# input that fails is left in build/found/.
FUZZ_SECONDS ?= 20
FUZZ_RUNS    ?= 0
FUZZ_SEED    ?= 0
FUZZ_SAN     ?= -fsanitize=address,undefined -fno-sanitize-recover=undefined
fuzzers = $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

# What judges is no part of what is to be covered.
$(BUILD)/tests/fuzz/%.o $(BUILD)/tests/model/%.o: override CFLAGS :=

define fuzz_rule
$(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/fuzz/%,$(1)): $(1) $(call objects,$(1))
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) -I. $$(cflags) $$(ldflags) -fsanitize=fuzzer -MMD -MP -o $$@ $$< \
		$(call objects,$(1)) $(call libraries,$(1)) $$(NANOPB)
endef
$(foreach t,$(wildcard tests/fuzz/fuzz_*.c),$(eval $(call fuzz_rule,$(t))))

# All of the daemon, and of the client library, from which a fuzzer takes what it does
# not make up itself.
$(BUILD)/tests/fuzz/daemon.a: $(filter-out %/main.o,$(daemon_o))
	rm -f $@
	ar rcs $@ $^
$(BUILD)/tests/fuzz/library.a: $(lib_o) $(crash_o)
	rm -f $@
	ar rcs $@ $^

.PHONY: fuzzers fuzzers-here fuzz-afl
fuzzers-here: $(fuzzers)
fuzzers:
	@$(MAKE) --no-print-directory BUILD=build/fuzz CC=clang OPT="-O1 -g" SAN="$(FUZZ_SAN)" \
		CFLAGS=-fsanitize=fuzzer-no-link fuzzers-here

fuzz: fuzzers
	@/usr/bin/python3 tests/fuzz/fuzz.py --seconds $(FUZZ_SECONDS) --runs $(FUZZ_RUNS) \
		--seed $(FUZZ_SEED)

# The same with AFL++.
fuzz-afl:
	@$(MAKE) --no-print-directory BUILD=build/afl CC=afl-clang-fast OPT="-O1 -g" SAN= \
		AFL_QUIET=1 fuzzers-here
	@/usr/bin/python3 tests/fuzz/fuzz.py --engine afl --build build/afl \
		--seconds $(FUZZ_SECONDS) --runs $(FUZZ_RUNS) --seed $(FUZZ_SEED)

# The protocol's models, searched to their last states (docs/model.md), and the lock
# table against its naive reference, ten times as long as in `make check`.
model: $(BUILD)/tests/test_locktable_model
	/usr/bin/python3 tests/model/check_model.py --table $<

# --- the benchmark -----------------------------------------------------------

bench_o := $(patsubst %,$(BUILD)/tests/bench/%.o,pair floor wire rivals)

$(BUILD)/tests/bench/locks: tests/bench/locks.c $(bench_o) $(proto_o) $(BUILD)/libttylock.so
	$(CC) $(CPPFLAGS) $(cflags) $(ldflags) -MMD -MP -o $@ $(filter %.c %.o,$^) -pthread \
		-L$(BUILD) -lttylock -Wl,-rpath,'$$ORIGIN/../..' $(NANOPB)

# Neither is to bring a sanitizer.
$(BUILD)/tests/bench/empty.so $(BUILD)/tests/bench/segv: override SAN :=
$(BUILD)/tests/bench/empty.so: tests/bench/empty.c
	@mkdir -p $(@D)
	$(CC) $(cflags) $(ldflags) -shared -o $@ $<

$(BUILD)/tests/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(cflags) $(ldflags) -MMD -MP -o $@ $<

BENCH := $(patsubst %,$(BUILD)/tests/bench/%,locks spawn segv empty.so)

tests: $(BENCH)

bench: deps bench-deps
	@$(MAKE) --no-print-directory all $(BENCH) $(BUILD)/tests/chaos/herd
	@/usr/bin/python3 tests/bench/bench.py $(BUILD)
