/* links: tests/fuzz/daemon.a proto/frame.o proto/ttylock.pb.o -levent_core -lsystemd */
/* A ledger with bytes of it changed, cut off or added: whatever it says, reading it
 * touches nothing outside, what it gives is within its bounds, and it can be gone on
 * with; or it is refused. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../daemon/ledger.h"
#include "../../daemon/ledger_map.h"
#include "bytes.h"

enum { REQUESTS = 40, TERMINALS = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
	if (!good)
		abort();
}

static struct ledger *written(void)
{
	struct ledger *l = ledger_new(REQUESTS, TERMINALS);
	struct ledger_terminal t = {.id = 1, .path = "/dev/pts/1"};
	struct ledger_left left = {.dirty = 1, .saved_size = 5, .saved = "saved"};

	check(l != NULL);
	ledger_add_terminal(l, &t);
	for (uint64_t i = 1; i <= 3; i++) {
		struct ledger_request r = {.id = i,
		    .caller = i,
		    .process = i,
		    .terminal = 1,
		    .lineage_count = 3,
		    .lineage = {7, 2, 1},
		    .comm = "comm"};

		memset(r.text, 'a', i * 80);
		check(ledger_reserve(l));
		uint32_t entry = ledger_add(l, &r);
		check(entry != LEDGER_NONE);
		if (i == 1) {
			ledger_grant(l, entry, 1);
			ledger_save(l, entry, "state", 5);
			ledger_set_left(l, entry, &left);
		}
	}
	return l;
}

/* Where what matters most is, but for the header: the requests' entries and tails. */
static off_t start_of(int fd, uint8_t how)
{
	uint64_t offset = 0;
	off_t array = how & 8 ? LEDGER_BLOCKS : LEDGER_REQUESTS;

	check(pread(fd, &offset, sizeof(offset), 48 + 24 * array) == sizeof(offset));
	return (off_t)offset;
}

/* Three bytes for each change: where, and what. */
static int spoilt(struct ledger *l, struct bytes *b)
{
	int fd = dup(ledger_fd(l));
	struct stat st;

	check(fd >= 0 && fstat(fd, &st) == 0);
	uint8_t how = bytes_take(b);
	off_t start = how & 4 && !(how & 2) ? start_of(fd, how) : 0;
	while (b->at < b->size) {
		off_t at = bytes_take(b);

		at = (at << 8 | bytes_take(b)) % st.st_size;
		if (how & 1)
			at = start + at % 256;
		else if (start)
			at = start + at % 1024;
		uint8_t byte = bytes_take(b);
		check(pwrite(fd, &byte, 1, at) == 1);
	}
	if (how & 2)
		check(ftruncate(fd, st.st_size * (how >> 2) / 64) == 0);
	return fd;
}

static void read_all(struct ledger *l)
{
	struct ledger_request r;
	struct ledger_hold hold;
	struct ledger_terminal t;

	ledger_is_empty(l);
	ledger_last_id(l);
	for (uint32_t i = 0; i < ledger_requests(l); i++) {
		if (!ledger_get_request(l, i, &r))
			continue;
		check(r.state != LEDGER_FREE);
		check(r.lineage_count <= LEDGER_LINEAGE);
		check(memchr(r.text, 0, sizeof(r.text)) && memchr(r.comm, 0, sizeof(r.comm)));
		check(memchr(r.task_name, 0, sizeof(r.task_name)) != NULL);
		check(memchr(r.subject_comm, 0, sizeof(r.subject_comm)) != NULL);
		ledger_get_hold(l, i, &hold);
		check(hold.saved_size <= LEDGER_SAVED_MAX);
		check(hold.left.saved_size <= LEDGER_SAVED_MAX);
	}
	for (uint32_t i = 0; i < ledger_terminals(l); i++) {
		if (!ledger_get_terminal(l, i, &t))
			continue;
		check(memchr(t.path, 0, sizeof(t.path)) != NULL);
		check(t.left.saved_size <= LEDGER_SAVED_MAX);
	}
}

static void go_on(struct ledger *l)
{
	struct ledger_request r = {.id = 100, .caller = 9, .process = 9, .terminal = 1};

	for (int i = 0; i < REQUESTS && ledger_reserve(l); i++) {
		uint32_t entry = ledger_add(l, &r);

		if (entry == LEDGER_NONE)
			break;
		ledger_grant(l, entry, 2);
		ledger_move(l, entry, 1, -1);
		if (i % 2)
			ledger_end(l, entry);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = {.data = data, .size = size};
	struct ledger *before = written();
	int fd = spoilt(before, &b);

	ledger_free(before);
	struct ledger *l = ledger_adopt(fd, REQUESTS, TERMINALS);
	if (!l)
		return 0;
	read_all(l);
	go_on(l);
	read_all(l);
	ledger_free(l);
	return 0;
}
