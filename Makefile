# ttylock: `make demo` shows it, `make check` proves it. Both install what is missing.

# The one dependency list: Debian packages for building, running and testing.
DEPS = gcc clang libclang-rt-14-dev afl++ make pkg-config libevent-dev libnanopb-dev nanopb \
	protobuf-compiler libreadline-dev libjansson-dev libdw-dev libsystemd-dev libcmocka-dev \
	gdb libc6-dbg python3 python3-pexpect python3-pyte procps perl less vim-tiny mandoc zsh fish g++ \
	build-essential debhelper lintian spin systemd systemd-container dbus libpam-systemd

# What `make bench` compares with and counts with, besides.
BENCH_DEPS = redis-server etcd-server elfutils strace

VERSION := 0.1.0
SONAME  := libttylock.so.0

prefix  ?= /usr/local
# Debian's packages: a directory for each architecture below lib.
MULTIARCH ?=
multiarch := $(MULTIARCH:%=/%)
bindir  ?= $(prefix)/bin
sbindir ?= $(prefix)/sbin
libdir  ?= $(prefix)/lib$(multiarch)
incdir  ?= $(prefix)/include
mandir  ?= $(prefix)/share/man
bashdir ?= $(prefix)/share/bash-completion/completions
zshdir  ?= $(prefix)/share/zsh/$(if $(filter /usr,$(prefix)),vendor-completions,site-functions)
fishdir ?= $(prefix)/share/fish/vendor_completions.d
# Once installed there: `journalctl --update-catalog`.
catalogdir ?= $(prefix)/lib/systemd/catalog
# systemd looks in each of these below /usr and /usr/local.
unitdir     ?= $(prefix)/lib/systemd/system
userunitdir ?= $(prefix)/lib/systemd/user
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d
# Where ttylock looks for what it preloads: ../lib/ttylock from its own place.
helpdir := $(prefix)/lib$(multiarch)/ttylock

BUILD  ?= build
ifeq ($(origin CC),default)
CC = gcc
endif
OPT    ?= -O2 -g
WARN   := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Wvla -Wformat=2
CFLAGS   ?=
CPPFLAGS += -D_GNU_SOURCE -DTTYLOCK_VERSION='"$(VERSION)"' -I$(BUILD)/gen -Iproto -Iclient/include
cflags    = -std=gnu11 $(OPT) $(WARN) -fPIC -fvisibility=hidden -fno-strict-aliasing \
	-fstack-protector-strong $(SAN) $(CFLAGS)
ldflags   = -Wl,-z,relro,-z,now -Wl,--as-needed $(SAN) $(LDFLAGS)

NANOPB   := -l:libprotobuf-nanopb.a
PROTO    := ttylock.pb frame
DAEMON   := $(patsubst daemon/%.c,%,$(wildcard daemon/*.c))
LIB      := $(patsubst client/lib/%.c,%,$(wildcard client/lib/*.c))
CRASH    := $(patsubst client/crash/%.c,%,$(wildcard client/crash/*.c))
PRELOAD  := $(patsubst client/preload/%.c,%,$(wildcard client/preload/*.c))
DUMP     := $(patsubst client/dump/%.c,%,$(wildcard client/dump/*.c))
SHELL_C  := $(patsubst client/shell/%.c,%,$(wildcard client/shell/*.c))
EXAMPLES := $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))
UNITS    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c)) \
	$(patsubst tests/model/%.c,$(BUILD)/tests/%,$(wildcard tests/model/test_*.c)) \
	$(patsubst tests/schedule/%.c,$(BUILD)/tests/%,$(wildcard tests/schedule/test_*.c))
HELPERS  := $(patsubst tests/e2e/programs/%.c,$(BUILD)/tests/programs/%,$(wildcard tests/e2e/programs/*.c))

proto_o   := $(PROTO:%=$(BUILD)/proto/%.o)
daemon_o  := $(DAEMON:%=$(BUILD)/daemon/%.o)
lib_o     := $(LIB:%=$(BUILD)/client/lib/%.o)
crash_o   := $(CRASH:%=$(BUILD)/client/crash/%.o)
preload_o := $(PRELOAD:%=$(BUILD)/client/preload/%.o)
dump_o    := $(DUMP:%=$(BUILD)/client/dump/%.o)
shell_o   := $(SHELL_C:%=$(BUILD)/client/shell/%.o)
# The commands that the program itself has, and those of libttylock-run.so.
main_o    := $(patsubst %,$(BUILD)/client/shell/%.o,main beside command options exec debug agent \
	banner cancel debugger feed place session signals skip steer tree turn wait)
run_o     := $(patsubst %,$(BUILD)/client/shell/%.o,agent beside columns command entry_json feed \
	follow forest_view hang options place preload reach release reporter run screen signals span status \
	steer timeline trace trace_file tree_root upkeep watch) \
	$(patsubst %,$(BUILD)/client/dump/%.o,forest json requests task)
PARTS     := $(BUILD)/libttylock-run.so $(BUILD)/libttylock-shell.so

.PHONY: all deps bench-deps demo check san fuzz model bench install uninstall deb clean
.DELETE_ON_ERROR:

all: $(BUILD)/ttylock $(PARTS) $(BUILD)/ttylockd $(BUILD)/libttylock.so $(BUILD)/libttylock-preload.so \
	$(BUILD)/completions/ttylock.bash $(EXAMPLES)

# --- what it is made of ---------------------------------------------------

$(BUILD)/gen/ttylock.pb.c $(BUILD)/gen/ttylock.pb.h &: proto/ttylock.proto proto/ttylock.options
	@mkdir -p $(BUILD)/gen
	cd proto && protoc --nanopb_out=$(abspath $(BUILD)/gen) ttylock.proto

$(BUILD)/proto/ttylock.pb.o: $(BUILD)/gen/ttylock.pb.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(cflags) -MMD -MP -c -o $@ $<

$(BUILD)/%.o: %.c | $(BUILD)/gen/ttylock.pb.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(cflags) -MMD -MP -c -o $@ $<

$(BUILD)/client/shell/beside.o: CPPFLAGS += -DTTYLOCK_MULTIARCH='"$(multiarch)"'

$(BUILD)/ttylockd: $(daemon_o) $(proto_o)
	$(CC) $(ldflags) -o $@ $^ $(NANOPB) -levent_core -lsystemd

# In three parts, by the libraries that they need (client/shell/main.c).
$(BUILD)/ttylock: $(main_o) $(lib_o) $(crash_o) $(proto_o)
	$(CC) $(ldflags) -o $@ $^ $(NANOPB)

$(BUILD)/libttylock-run.so: $(run_o) client/shell/run.map
$(BUILD)/libttylock-shell.so: $(filter-out %/main.o,$(shell_o)) $(dump_o) client/shell/shell.map
$(PARTS): $(lib_o) $(crash_o) $(proto_o)
	$(CC) $(ldflags) -shared -Wl,--version-script=$(filter %.map,$^) -Wl,-z,defs -o $@ $(filter %.o,$^) \
		$(NANOPB) -levent_core -ljansson -ldw -lreadline

$(BUILD)/libttylock.so: $(lib_o) $(crash_o) $(proto_o) client/lib/libttylock.map
	$(CC) $(ldflags) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=client/lib/libttylock.map \
		-Wl,-z,defs -o $@ $(filter %.o,$^) $(NANOPB)
	ln -sf libttylock.so $(BUILD)/$(SONAME)

$(BUILD)/libttylock-preload.so: $(preload_o) $(crash_o) client/preload/preload.map
	$(CC) $(ldflags) -shared -Wl,--version-script=client/preload/preload.map -o $@ $(filter %.o,$^)

# All three of them, from the one table of commands that it prints.
$(BUILD)/completions/ttylock.bash: client/shell/completions/generate.py $(BUILD)/ttylock \
		$(PARTS)
	/usr/bin/python3 $< $(BUILD)/ttylock $(@D)

# It is loaded into programs that have not the sanitizers' runtime.
$(crash_o) $(preload_o) $(BUILD)/libttylock-preload.so: override SAN :=

# Unoptimised, so that a debugger shows every local of the examples.
$(BUILD)/examples/%: examples/%.c client/include/ttylock.h | $(BUILD)/libttylock.so
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O0 -g -Wall -Wextra -Werror -D_GNU_SOURCE -Iclient/include $(SAN) -o $@ $< -pthread \
		-Wl,--as-needed -L$(BUILD) -lttylock -Wl,-rpath,'$$ORIGIN/..' -lreadline

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d)

# --- the two commands -----------------------------------------------------

deps: PACKAGES = $(DEPS)
bench-deps: PACKAGES = $(BENCH_DEPS)
deps bench-deps:
	@missing=; for p in $(PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
	done; \
	if [ -n "$$missing" ]; then \
		echo "make $@: installing$$missing"; \
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		$$sudo apt-get update -q && \
		DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -q -y --no-install-recommends $$missing; \
	fi

demo: deps
	@$(MAKE) --no-print-directory all
	@/usr/bin/python3 examples/demo.py $(BUILD)

check: deps
	@/usr/bin/python3 tests/check.py

# The part of `make check` that runs under ASan and UBSan.
san: deps
	@/usr/bin/python3 tests/check.py "under ASan"

# --- tests, one by one ----------------------------------------------------

include tests/tests.mk

# --- install --------------------------------------------------------------

MANUALS := client/shell/ttylock.1 client/lib/libttylock.3 proto/ttylock.7 daemon/ttylockd.8
# Each function finds its page.
FUNCTIONS := $(shell sed -n 's/^\.Nm \(ttylock_[a-z_]*\).*/\1/p' client/lib/libttylock.3)

installed := $(bindir)/ttylock $(sbindir)/ttylockd \
	$(addprefix $(libdir)/,libttylock.so.$(VERSION) $(SONAME) libttylock.so pkgconfig/ttylock.pc) \
	$(helpdir)/libttylock-preload.so $(PARTS:$(BUILD)/%=$(helpdir)/%) $(incdir)/ttylock.h \
	$(foreach m,$(MANUALS),$(mandir)/man$(subst .,,$(suffix $m))/$(notdir $m)) \
	$(FUNCTIONS:%=$(mandir)/man3/%.3) \
	$(bashdir)/ttylock $(zshdir)/_ttylock $(fishdir)/ttylock.fish $(catalogdir)/ttylock.catalog \
	$(foreach d,$(unitdir) $(userunitdir),$(d)/ttylockd.socket $(d)/ttylockd.service) \
	$(sysusersdir)/ttylock.conf $(tmpfilesdir)/ttylock.conf

install: all
	install -d $(sort $(dir $(installed:%=$(DESTDIR)%)))
	install -m 755 $(BUILD)/ttylock $(DESTDIR)$(bindir)/
	install -m 755 $(BUILD)/ttylockd $(DESTDIR)$(sbindir)/
	install -m 644 $(BUILD)/libttylock.so $(DESTDIR)$(libdir)/libttylock.so.$(VERSION)
	ln -sf libttylock.so.$(VERSION) $(DESTDIR)$(libdir)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(libdir)/libttylock.so
	install -m 644 $(BUILD)/libttylock-preload.so $(PARTS) $(DESTDIR)$(helpdir)/
	install -m 644 client/include/ttylock.h $(DESTDIR)$(incdir)/
	sed -e 's|@prefix@|$(prefix)|; s|@libdir@|$(libdir)|; s|@includedir@|$(incdir)|' \
		-e 's|@version@|$(VERSION)|' client/lib/ttylock.pc.in \
		>$(DESTDIR)$(libdir)/pkgconfig/ttylock.pc
	chmod 644 $(DESTDIR)$(libdir)/pkgconfig/ttylock.pc
	for m in $(MANUALS); do install -m 644 $$m $(DESTDIR)$(mandir)/man$${m##*.}/ || exit; done
	for f in $(FUNCTIONS); do ln -sf libttylock.3 $(DESTDIR)$(mandir)/man3/$$f.3 || exit; done
	install -m 644 $(BUILD)/completions/ttylock.bash $(DESTDIR)$(bashdir)/ttylock
	install -m 644 $(BUILD)/completions/_ttylock $(DESTDIR)$(zshdir)/
	install -m 644 $(BUILD)/completions/ttylock.fish $(DESTDIR)$(fishdir)/
	install -m 644 systemd/system/ttylockd.socket $(DESTDIR)$(unitdir)/
	install -m 644 systemd/user/ttylockd.socket $(DESTDIR)$(userunitdir)/
	sed 's|@sbindir@|$(sbindir)|' systemd/system/ttylockd.service.in >$(DESTDIR)$(unitdir)/ttylockd.service
	sed 's|@sbindir@|$(sbindir)|' systemd/user/ttylockd.service.in >$(DESTDIR)$(userunitdir)/ttylockd.service
	chmod 644 $(DESTDIR)$(unitdir)/ttylockd.service $(DESTDIR)$(userunitdir)/ttylockd.service
	install -m 644 systemd/ttylock.sysusers $(DESTDIR)$(sysusersdir)/ttylock.conf
	install -m 644 systemd/ttylock.tmpfiles $(DESTDIR)$(tmpfilesdir)/ttylock.conf
	install -m 644 systemd/ttylock.catalog $(DESTDIR)$(catalogdir)/

uninstall:
	rm -f $(installed:%=$(DESTDIR)%)
	rmdir $(DESTDIR)$(helpdir) 2>/dev/null || true

# Debian packages, by debhelper. They are built in a copy, so that the checkout stays as it is,
# and in an environment of their own: what this make was told is not for that one.
deb_tree := $(BUILD)/deb/ttylock-$(VERSION)

deb: deps
	rm -rf $(BUILD)/deb
	mkdir -p $(deb_tree)
	tar -c --exclude=__pycache__ client daemon docs examples proto systemd tests Makefile README.md \
		LICENSE | tar -xC $(deb_tree)
	mv $(deb_tree)/systemd/debian $(deb_tree)/debian
	sed -i '1s/(.*)/($(VERSION))/' $(deb_tree)/debian/changelog
	cd $(deb_tree) && env -i PATH="$$PATH" HOME="$$HOME" LANG=C.UTF-8 \
		DEB_BUILD_OPTIONS="$$DEB_BUILD_OPTIONS" dpkg-buildpackage -us -uc -ui -j$$(nproc)
	rm -rf $(deb_tree)
	@ls $(BUILD)/deb/*.deb

clean:
	rm -rf build
