/* links: daemon/ledger.o daemon/ledger_entries.o daemon/ledger_file.o daemon/ledger_map.o daemon/ledger_tail.o -lsystemd */
/* What the daemon writes for its successor: kept through death at any moment, read
 * from versions before and after, and harmless whatever it contains. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/ledger.h"
#include "daemon/ledger_entries.h"

enum { REQUESTS = 200, TERMINALS = 70 };

static char dir[64], path[80];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/ttylock-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static struct ledger *opened(int want)
{
	int error;
	struct ledger *l = ledger_open(path, REQUESTS, TERMINALS, &error);

	assert_non_null(l);
	assert_int_equal(error, want);
	return l;
}

static struct ledger *reopened(struct ledger *l)
{
	ledger_free(l);
	return opened(0);
}

static struct ledger_request request(uint64_t id)
{
	struct ledger_request r = {
	    .uid = 1000,
	    .pid = 4711,
	    .id = id,
	    .caller = 3,
	    .process = id * 7,
	    .terminal = 5,
	    .under = 2,
	    .rank = -(int64_t)id,
	    .lineage_count = 2,
	    .lineage = {4711, 1},
	};

	/* Of several blocks. */
	snprintf(
	    r.text, sizeof(r.text), "request %0*llu", 70 + (int)id % 70, (unsigned long long)id);
	snprintf(r.task_name, sizeof(r.task_name), "task %llu", (unsigned long long)id);
	strcpy(r.comm, "comm");
	strcpy(r.subject_comm, "subject");
	return r;
}

static uint32_t find(const struct ledger *l, uint64_t id, struct ledger_request *out)
{
	for (uint32_t i = 0; i < ledger_requests(l); i++) {
		if (ledger_get_request(l, i, out) && out->id == id)
			return i;
	}
	return LEDGER_NONE;
}

static uint32_t count(const struct ledger *l)
{
	struct ledger_request r;
	uint32_t n = 0;

	for (uint32_t i = 0; i < ledger_requests(l); i++)
		n += ledger_get_request(l, i, &r);
	return n;
}

/* --- tests ------------------------------------------------------------------ */

static void keeps_what_it_is_told(void **state)
{
	struct ledger *l = opened(0);
	struct ledger_request r = request(9), got;
	struct ledger_left left = {.dirty = 1, .untold = 1, .saved_size = 3, .saved = "abc"};
	struct ledger_terminal t = {.id = 5, .device = 77, .filesystem = 8, .path = "/dev/pts/1"};
	struct ledger_hold hold;

	(void)state;
	assert_true(ledger_is_empty(l));
	uint32_t entry = ledger_add(l, &r), terminal = ledger_add_terminal(l, &t);
	l = reopened(l);
	assert_false(ledger_is_empty(l));
	assert_int_equal(find(l, 9, &got), entry);
	assert_int_equal(got.state, LEDGER_QUEUED);
	r.state = LEDGER_QUEUED;
	assert_memory_equal(&got, &r, sizeof(r));
	ledger_get_hold(l, entry, &hold);
	assert_int_equal(hold.saved_size, 0);

	ledger_move(l, entry, 12, -99);
	ledger_grant(l, entry, 34);
	ledger_save(l, entry, "saved", 5);
	ledger_set_left(l, entry, &left);
	ledger_set_terminal_left(l, terminal, &left);
	ledger_set_caller(l, entry, 56);
	l = reopened(l);
	find(l, 9, &got);
	assert_int_equal(got.state, LEDGER_GRANTED);
	assert_int_equal(got.under, 12);
	assert_int_equal(got.rank, -99);
	assert_int_equal(got.granted, 34);
	assert_int_equal(got.caller, 56);
	ledger_get_hold(l, entry, &hold);
	assert_int_equal(hold.saved_size, 5);
	assert_memory_equal(hold.saved, "saved", 5);
	assert_memory_equal(&hold.left, &left, sizeof(left));
	assert_true(ledger_get_terminal(l, terminal, &t));
	assert_string_equal(t.path, "/dev/pts/1");
	assert_memory_equal(&t.left, &left, sizeof(left));

	ledger_end(l, entry);
	assert_false(ledger_is_empty(l)); /* the terminal is dirty */
	ledger_set_terminal_left(l, terminal, &(struct ledger_left){0});
	l = reopened(l);
	assert_true(ledger_is_empty(l));
	assert_int_equal(ledger_last_id(l), 9);
	ledger_end_terminal(l, terminal);
	assert_false(ledger_get_terminal(l, terminal, &t));
	ledger_free(l);
}

static void nothing_is_left_of_the_one_before(void **state)
{
	struct ledger *l = opened(0);
	struct ledger_request r = request(1);
	struct ledger_hold hold;
	uint32_t entry = ledger_add(l, &r);

	(void)state;
	ledger_save(l, entry, "saved", 5);
	ledger_set_left(l, entry, &(struct ledger_left){.dirty = 1});
	ledger_end(l, entry);
	r = request(2);
	assert_int_equal(ledger_add(l, &r), entry);
	ledger_get_hold(l, entry, &hold);
	assert_int_equal(hold.saved_size, 0);
	assert_int_equal(hold.left.dirty, 0);
	ledger_free(l);
}

static void is_full_at_its_limits(void **state)
{
	struct ledger *l = opened(0);
	struct ledger_terminal t = {.id = 1};

	(void)state;
	for (uint64_t id = 1; id <= REQUESTS; id++) {
		struct ledger_request r = request(id);
		assert_true(ledger_reserve(l));
		assert_true(ledger_add(l, &r) != LEDGER_NONE);
	}
	struct ledger_request r = request(REQUESTS + 1), got;
	assert_false(ledger_reserve(l));
	assert_int_equal(ledger_add(l, &r), LEDGER_NONE);
	for (int i = 0; i < TERMINALS; i++)
		assert_true(ledger_add_terminal(l, &t) != LEDGER_NONE);
	assert_int_equal(ledger_add_terminal(l, &t), LEDGER_NONE);
	l = reopened(l);
	assert_int_equal(count(l), REQUESTS);
	assert_false(ledger_reserve(l));
	ledger_end(l, find(l, 100, &got));
	assert_true(ledger_reserve(l));
	uint32_t entry = ledger_add(l, &r);
	assert_int_equal(find(l, REQUESTS + 1, &got), entry);
	ledger_free(l);
}

/* As it lies in the file, but for its state: its tail in three blocks from `block` on. */
static void entry_make(const struct ledger_map *m, const struct ledger_request *r, uint32_t block,
    struct ledger_entry *e)
{
	char tail[512];
	size_t n =
	    (size_t)sprintf(tail, "%s%s%s%s", r->task_name, r->text, r->comm, r->subject_comm);

	memcpy(tail + n, r->lineage, r->lineage_count * 4);
	memset(tail + n + r->lineage_count * 4, 0xee, 60);
	memcpy(e, r, offsetof(struct ledger_entry, tail));
	e->tail = (struct ledger_tail){
	    .first = block + 2,
	    .task_name = (uint8_t)strlen(r->task_name),
	    .text = (uint8_t)strlen(r->text),
	    .comm = (uint8_t)strlen(r->comm),
	    .subject_comm = (uint8_t)strlen(r->subject_comm),
	};
	for (uint32_t i = 0; i < 3; i++) {
		struct ledger_block *b = ledger_map_entry(m, LEDGER_BLOCKS, block + 2 - i);

		b->next = i == 2 ? LEDGER_NONE : block + 1 - i;
		memcpy(b->bytes, tail + 60 * i, 60);
	}
}

/* Writes a ledger as a version would whose entries are longer or shorter; FIRST: as
 * version 1, where the tail has its place in the entry. */
enum { FIRST = 1000 };

static void write_version(int fd, int32_t change, uint32_t requests_max)
{
	bool first = change == FIRST;
	uint32_t more = first ? 0 : (uint32_t)change;
	uint32_t version = 1;
	struct ledger_limits limits = {
	    .max = {TERMINALS, requests_max, requests_max, requests_max},
	    .stride = {sizeof(struct ledger_terminal) + more,
		first ? sizeof(struct ledger_request) : sizeof(struct ledger_entry) + more,
		sizeof(struct ledger_hold) + more, sizeof(struct ledger_block)},
	};
	struct ledger_map m;

	assert_int_equal(ledger_map_format(&m, fd, &limits), 0);
	for (int a = 0; a < LEDGER_ARRAYS; a++)
		assert_int_equal(ledger_map_extend(&m, a), 0);
	for (uint32_t i = 0; i < 3; i++) {
		struct ledger_request r = request(i + 1);
		struct ledger_entry e;
		unsigned char *at = ledger_map_entry(&m, LEDGER_REQUESTS, 2 * i);

		memset(at, 0xee, limits.stride[LEDGER_REQUESTS]);
		r.state = LEDGER_GRANTED;
		entry_make(&m, &r, 5 + 3 * i, &e);
		if (first)
			memcpy(at, &r, sizeof(r));
		else
			memcpy(at, &e, change < 0 ? limits.stride[LEDGER_REQUESTS] : sizeof(e));
		struct ledger_hold hold = {.used = 1, .saved_size = i, .saved = "xyz"};
		memcpy(ledger_map_entry(&m, LEDGER_HOLDS, 2 * i), &hold, 64);
	}
	*ledger_map_last_id(&m) = 44;
	if (first)
		assert_int_equal(pwrite(m.fd, &version, sizeof(version), 8), sizeof(version));
	ledger_map_close(&m);
}

static void check_version(struct ledger *l, bool shorter)
{
	struct ledger_request got;
	struct ledger_hold hold;

	assert_non_null(l);
	assert_true(ledger_was_converted(l));
	assert_int_equal(count(l), 3);
	assert_int_equal(ledger_last_id(l), 44);
	for (uint32_t i = 0; i < 3; i++) {
		struct ledger_request want = request(i + 1);
		uint32_t entry = find(l, i + 1, &got);

		want.state = LEDGER_GRANTED;
		if (shorter) /* it knows of no tails */
			memset(want.task_name, 0,
			    sizeof(want) - offsetof(struct ledger_request, task_name));
		assert_memory_equal(&got, &want, sizeof(want));
		ledger_get_hold(l, entry, &hold);
		assert_int_equal(hold.saved_size, i);
		assert_memory_equal(hold.saved, "xyz", 3);
	}
	ledger_free(l);
}

static void reads_other_versions(void **state)
{
	static const struct {
		int32_t change;
		uint32_t requests_max;
	} cases[] = {{64, REQUESTS}, {-8, REQUESTS}, {64, 1000}, {-8, 64}, {0, 300},
	    {FIRST, REQUESTS}, {FIRST, 64}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);

		write_version(fd, cases[i].change, cases[i].requests_max);
		check_version(opened(0), cases[i].change < 0);
		/* It has taken the other's place. */
		struct ledger *l = opened(0);
		assert_false(ledger_was_converted(l));
		assert_int_equal(count(l), 3);
		ledger_free(l);
		unlink(path);

		fd = memfd_create("other version", MFD_CLOEXEC);
		write_version(
		    fcntl(fd, F_DUPFD_CLOEXEC, 0), cases[i].change, cases[i].requests_max);
		check_version(ledger_adopt(fd, REQUESTS, TERMINALS), cases[i].change < 0);
	}
}

/* Any byte of the header may be any other; whatever passes is read without harm. */
static void survives_any_header(void **state)
{
	struct ledger *l = opened(0);
	struct ledger_request r = request(1);
	unsigned char header[160];
	int refused = 0;

	(void)state;
	ledger_add(l, &r);
	assert_int_equal(pread(ledger_fd(l), header, sizeof(header), 0), sizeof(header));
	ledger_free(l);
	for (size_t i = 0; i < 8 * sizeof(header); i++) {
		int fd = open(path, O_RDWR | O_CLOEXEC);
		unsigned char byte = header[i / 8] ^ (unsigned char)(1u << i % 8);

		assert_int_equal(pwrite(fd, &byte, 1, (off_t)i / 8), 1);
		l = ledger_adopt(fd, REQUESTS, TERMINALS);
		if (l) {
			count(l);
			for (uint32_t k = 0; k < ledger_terminals(l); k++) {
				struct ledger_terminal t;
				ledger_get_terminal(l, k, &t);
			}
		} else {
			assert_true(errno == EILSEQ || errno == ESTALE || errno == ENOSPC ||
				    errno == ENOMEM);
			refused++;
		}
		ledger_free(l);
		fd = open(path, O_RDWR | O_CLOEXEC);
		assert_int_equal(pwrite(fd, &header[i / 8], 1, (off_t)i / 8), 1);
		close(fd);
	}
	assert_true(refused > 100);
	l = opened(0);
	assert_int_equal(count(l), 1);
	ledger_free(l);
}

static void mends_what_could_mislead(void **state)
{
	struct ledger *l = opened(0);
	struct ledger_request r = request(1), got;
	struct ledger_hold hold;
	uint32_t entry = ledger_add(l, &r);
	void *map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, ledger_fd(l), 0);

	(void)state;
	assert_ptr_not_equal(map, MAP_FAILED);
	struct ledger_entry *raw = memmem(map, 1 << 20, &(uint64_t){7}, 8) /* .process */;
	assert_non_null(raw);
	raw = (struct ledger_entry *)((char *)raw - offsetof(struct ledger_entry, process));
	memset(&raw->tail.task_name, 0xff, 4);
	/* A chain that never ends. */
	struct ledger_block *block = memmem(map, 1 << 20, "task 1request", 13);
	assert_non_null(block);
	block = (struct ledger_block *)((char *)block - offsetof(struct ledger_block, bytes));
	memset(block->bytes, 'x', sizeof(block->bytes));
	block->next = raw->tail.first;
	raw->lineage_count = UINT32_MAX;
	ledger_save(l, entry, "s", 1);
	munmap(map, 1 << 20);
	assert_true(ledger_get_request(l, entry, &got));
	assert_int_equal(strlen(got.task_name), sizeof(got.task_name) - 1);
	assert_int_equal(strlen(got.text), sizeof(got.text) - 1);
	assert_int_equal(strlen(got.comm), sizeof(got.comm) - 1);
	assert_int_equal(got.lineage_count, LEDGER_LINEAGE);
	ledger_get_hold(l, entry, &hold);
	assert_int_equal(hold.saved_size, 1);
	ledger_free(l);
}

static struct ledger_request longest(uint64_t id)
{
	struct ledger_request r = {.id = id, .lineage_count = LEDGER_LINEAGE};

	memset(r.task_name, 'n', sizeof(r.task_name) - 1);
	memset(r.text, 'a' + (int)(id % 26), sizeof(r.text) - 1);
	memset(r.comm, 'c', sizeof(r.comm) - 1);
	memset(r.subject_comm, 's', sizeof(r.subject_comm) - 1);
	for (int i = 0; i < LEDGER_LINEAGE; i++)
		r.lineage[i] = i * (int)id;
	return r;
}

/* Whatever their lengths, the blocks of one are nobody else's, and are there again
 * once it has ended: or there were none left at some time. */
static void tails_do_not_mix(void **state)
{
	struct ledger *l = opened(0);
	struct ledger_request got;
	uint32_t entry[REQUESTS];

	(void)state;
	for (uint64_t round = 0; round < 5; round++) {
		for (uint64_t i = 0; i < REQUESTS; i++) {
			uint64_t id = round * REQUESTS + i + 1;
			struct ledger_request r =
			    id % 3 ? longest(id) : (struct ledger_request){.id = id};

			assert_true(ledger_reserve(l));
			entry[i] = ledger_add(l, &r);
			assert_true(entry[i] != LEDGER_NONE);
		}
		if (round == 2)
			l = reopened(l);
		for (uint64_t i = 0; i < REQUESTS; i++) {
			uint64_t id = round * REQUESTS + i + 1;
			struct ledger_request r =
			    id % 3 ? longest(id) : (struct ledger_request){.id = id};

			r.state = LEDGER_QUEUED;
			assert_true(ledger_get_request(l, entry[i], &got));
			assert_memory_equal(&got, &r, sizeof(r));
		}
		for (uint64_t i = 0; i < REQUESTS; i++)
			ledger_end(l, entry[(i * 7 + round) % REQUESTS]);
		assert_int_equal(l->pool[LEDGER_BLOCKS].free_count, l->pool[LEDGER_BLOCKS].count);
	}
	ledger_free(l);
}

/* Two that say that one block is theirs, as only a spoilt ledger has it: it is free
 * once, however often it is given. */
static void block_of_two_is_free_once(void **state)
{
	struct ledger *l = opened(0);
	struct ledger_request r = request(1);
	uint32_t one = ledger_add(l, &r), two = ledger_add(l, &r);
	struct ledger_entry *e = ledger_map_entry(&l->map, LEDGER_REQUESTS, one);
	const struct ledger_entry *f = ledger_map_entry(&l->map, LEDGER_REQUESTS, two);

	(void)state;
	e->tail.first = f->tail.first;
	l = reopened(l);
	ledger_end(l, one);
	ledger_end(l, two);
	assert_int_equal(l->pool[LEDGER_BLOCKS].free_count, l->pool[LEDGER_BLOCKS].count);
	ledger_free(l);
}

static void trusts_nobody_elses_file(void **state)
{
	struct ledger *l = opened(0);
	struct ledger_request r = request(1);
	char other[96];

	(void)state;
	ledger_add(l, &r);
	ledger_free(l);
	assert_int_equal(chmod(path, 0644), 0);
	l = opened(EPERM);
	assert_true(ledger_is_empty(l));
	ledger_free(l);

	snprintf(other, sizeof(other), "%s/other", dir);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	ledger_free(opened(ELOOP));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(link(other, path), 0);
	ledger_free(opened(EPERM));
	unlink(other);
}

/* What one who comes after us would read now makes sense: either of two requests, in
 * any of its states, with a saved state that is one of ours or none. */
static void check_sense(const struct ledger *l)
{
	struct ledger_request got;
	struct ledger_hold hold;

	assert_true(count(l) <= 1);
	for (uint32_t i = 0; i < ledger_requests(l); i++) {
		if (!ledger_get_request(l, i, &got))
			continue;
		struct ledger_request want = request(got.id);
		assert_string_equal(got.text, want.text);
		assert_string_equal(got.subject_comm, want.subject_comm);
		assert_memory_equal(got.lineage, want.lineage, sizeof(want.lineage));
		assert_int_equal(got.process, want.process);
		assert_true(got.state == LEDGER_QUEUED || got.granted == got.id);
		assert_true(ledger_last_id(l) >= got.id);
		ledger_get_hold(l, i, &hold);
		assert_in_range(hold.saved_size, 0, 12);
		for (uint32_t k = 0; k < hold.saved_size; k++)
			assert_int_equal(hold.saved[k], hold.saved_size + got.id);
		assert_in_range(hold.left.saved_size, 0, 12);
		for (uint32_t k = 0; k < hold.left.saved_size; k++)
			assert_int_equal(hold.left.saved[k], hold.left.saved_size + got.id);
		assert_true(hold.left.dirty || hold.left.saved_size == 0);
	}
}

static void write_life(struct ledger *l)
{
	for (uint64_t id = 1; id <= 2; id++) {
		struct ledger_request r = request(id);
		uint32_t entry = ledger_add(l, &r);

		ledger_grant(l, entry, id);
		for (uint16_t size = 10; size <= 12; size++) {
			struct ledger_left left = {.dirty = 1, .saved_size = size};

			memset(left.saved, size + (int)id, size);
			ledger_save(l, entry, left.saved, size);
			ledger_set_left(l, entry, &left);
		}
		ledger_end(l, entry);
	}
}

/* One instruction of the writer after the other; at each it might have died. */
static void death_at_any_store(void **state)
{
	struct ledger *l = opened(0);
	struct ledger_request r = request(9);
	unsigned long steps = 0;
	int status;

	(void)state;
	ledger_end(l, ledger_add(l, &r)); /* there is room */
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		write_life(l);
		_exit(7);
	}
	for (;;) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			break;
		check_sense(l);
		steps++;
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, 0, 0), 0);
	}
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_true(steps > 500);
	assert_true(ledger_is_empty(l));
	ledger_free(l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(keeps_what_it_is_told),
	    TEST(nothing_is_left_of_the_one_before),
	    TEST(is_full_at_its_limits),
	    TEST(reads_other_versions),
	    TEST(survives_any_header),
	    TEST(mends_what_could_mislead),
	    TEST(tails_do_not_mix),
	    TEST(block_of_two_is_free_once),
	    TEST(trusts_nobody_elses_file),
	    TEST(death_at_any_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
