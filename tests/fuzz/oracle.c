#include "oracle.h"

#include <errno.h>
#include <string.h>

#include "../model/reference.h"
#include "world.h"

enum { DUE_MAX = 512, IDS_MAX = 1024, CALLERS_MAX = 256, SAVED_MAX = 256, IDLE_COUNT = 16 };

/* What the reference does not know of a request. */
struct detail {
	const struct caller *caller;
	uint64_t number, granted;
	uint64_t tree, first_tree; /* of who has it now, and of who asked */
	int32_t subject;
	uint8_t token[16];
	bool has_token;
};

/* A message that is due; what is not set is not compared. */
struct due {
	const struct caller *to;
	pb_size_t kind;
	uint64_t request, id, ref, holder;
	int state, code, saved;
	uint32_t position, waiters;
	bool granted, held, last, hidden, dirty;
};

struct mind {
	uint64_t owner;
	const struct caller *caller;
	int terminals[8]; /* of the world; -1: none */
	bool may_close;
	uint64_t tree;
	struct {
		uint64_t query;
		int32_t below;
	} idle[IDLE_COUNT];
	int idle_count;
};

static struct {
	uint32_t requests_max;
	uint64_t last_id, last_owner, grants;
	struct detail details[IDS_MAX];
	struct mind minds[CALLERS_MAX];
	struct due due[DUE_MAX];
	int due_at, due_count;
	struct {
		uint8_t bytes[192];
		size_t size;
	} saved[SAVED_MAX];
	int saved_count;
	const struct broker *broker;
	bool blind;
} o;

void oracle_reset(const struct broker *b, uint32_t requests_max)
{
	o.broker = b;
	plain_reset();
	o.requests_max = requests_max;
	o.last_id = o.last_owner = o.grants = 0;
	memset(o.minds, 0, sizeof(o.minds));
	o.due_at = o.due_count = o.saved_count = 0;
	o.blind = false;
}

static struct mind *mind_of(const struct caller *c)
{
	struct mind *m = &o.minds[c->id % CALLERS_MAX];

	if (m->owner != c->id) {
		*m = (struct mind){.owner = c->id, .caller = c};
		o.last_owner = c->id;
		for (int i = 0; i < 8; i++)
			m->terminals[i] = -1;
	}
	return m;
}

bool oracle_may_close(const struct caller *c)
{
	return mind_of(c)->may_close;
}

static struct detail *detail_of(uint64_t id)
{
	return &o.details[id % IDS_MAX];
}

/* --- what is due -------------------------------------------------------------- */

static struct due *due_add(const struct caller *to, pb_size_t kind)
{
	static struct due nothing; /* nobody is there to hear it */

	world_check(o.due_count < DUE_MAX);
	struct due *d = to->absent ? &nothing : &o.due[o.due_count++];
	*d = (struct due){.to = to, .kind = kind, .saved = -1};
	return d;
}

static void error_due(const struct caller *to, ttylock_Code code, uint64_t ref)
{
	struct due *d = due_add(to, ttylock_Envelope_error_tag);

	d->code = (int)code;
	d->ref = ref;
}

static struct due *status_due(const struct caller *to, uint64_t request, uint64_t id, int state)
{
	struct due *d = due_add(to, ttylock_Envelope_lock_status_tag);

	d->request = request;
	d->id = id;
	d->state = state;
	return d;
}

static uid_t owner_of(uint64_t terminal)
{
	const struct world_terminal *t = &world.terminals[terminal - 1];

	return t->dead ? (uid_t)-1 : t->owner;
}

static bool may_see(const struct caller *viewer, const struct plain *p)
{
	uid_t uid = viewer->cred.uid;

	return uid == 0 || uid == detail_of(p->id)->caller->cred.uid ||
	       uid == owner_of(p->terminal);
}

static void holder_due(struct due *d, uint64_t terminal)
{
	const struct plain *p = plain_find(plain_holder(terminal));

	if (!p)
		return;
	d->held = true;
	d->hidden = !may_see(d->to, p);
	d->holder = d->hidden ? 0 : p->id;
}

/* --- what a request's end brings ------------------------------------------------ */

static void grant_due(uint64_t id)
{
	const struct plain *p = plain_find(id);
	struct detail *k = detail_of(id);
	struct level *base = plain_top(p->terminal) - 1;
	struct due *d = status_due(k->caller, k->number, id, ttylock_State_STATE_GRANTED);

	world_check(plain_holder(p->terminal) == id);
	/* It is told when it comes back, or never: not followed from here on. */
	if (k->caller->absent)
		o.blind = true;
	base->left.untold = false;
	k->granted = ++o.grants;
	d->granted = true;
	d->waiters = (uint32_t)plain_waiters(p->terminal);
	d->dirty = base->left.dirty;
	d->saved = base->left.saved;
}

static void remove_one(struct plain *p, enum locktable_end end)
{
	uint64_t next = plain_remove(p, end);

	if (next)
		grant_due(next);
}

/* Nobody who is dead is granted anything. */
static void settle(const struct plain *hold)
{
	uint64_t id = hold->id, next;

	while ((next = plain_successor(plain_find(id))) != 0) {
		const struct caller *c = detail_of(next)->caller;

		if (!c->gone && cred_alive(&c->cred))
			return;
		remove_one(plain_find(next), LOCKTABLE_CLEAN);
	}
}

static void end_request(uint64_t id, enum locktable_end end, const struct caller *by)
{
	struct plain *p = plain_find(id);
	const struct detail *k = detail_of(id);

	if (p->holds)
		settle(p);
	p = plain_find(id);
	if (by)
		status_due(k->caller, k->number, id,
		    p->holds ? ttylock_State_STATE_RELEASED : ttylock_State_STATE_CANCELLED);
	remove_one(p, end);
}

/* Its waits first, then its holds, the oldest first. */
static uint64_t next_to_drop(uint64_t owner)
{
	uint64_t hold = 0;

	for (int i = 0; i < plain_count; i++) {
		if (plain[i].owner != owner)
			continue;
		if (!plain[i].holds)
			return plain[i].id;
		if (!hold || detail_of(plain[i].id)->granted < detail_of(hold)->granted)
			hold = plain[i].id;
	}
	return hold;
}

void oracle_gone(const struct caller *c)
{
	uint64_t id;

	if (o.blind)
		return;
	mind_of(c)->idle_count = 0;
	while ((id = next_to_drop(c->id)) != 0)
		end_request(id, LOCKTABLE_DIRTY, NULL);
}

/* --- who waits until nobody is there ---------------------------------------------- */

/* strict: as it may be told; else also what was so while the terminal lived, or before
 * a client reclaimed it as one of another tree. */
static bool keeps_waiting(
    const struct plain *p, const struct caller *c, uint64_t tree, int32_t below, bool strict)
{
	const struct detail *k = detail_of(p->id);
	uid_t uid = c->cred.uid;

	if (below ? !world_is_below(k->subject, below)
		  : k->tree != tree && (strict || k->first_tree != tree))
		return false;
	if (k->caller->cred.uid == 0 || may_see(c, p))
		return true;
	return !strict && uid == world.terminals[p->terminal - 1].owner;
}

static bool is_busy(const struct caller *c, uint64_t tree, int32_t below, bool strict)
{
	for (int i = 0; i < plain_count; i++) {
		if (keeps_waiting(&plain[i], c, tree, below, strict))
			return true;
	}
	return false;
}

/* True when it was the answer to a wait. */
static bool idle_said(const struct caller *c, uint64_t query)
{
	struct mind *m = mind_of(c);

	for (int i = 0; i < m->idle_count; i++) {
		if (m->idle[i].query != query)
			continue;
		if (is_busy(c, m->tree, m->idle[i].below, true))
			continue; /* another one of that number */
		m->idle[i] = m->idle[--m->idle_count];
		return true;
	}
	return false;
}

/* --- what is said ------------------------------------------------------------------ */

static void status_compare(const struct due *d, const ttylock_LockStatus *s)
{
	world_check(s->request == d->request && s->id == d->id && (int)s->state == d->state);
	world_check((int)s->code == d->code && s->position == d->position);
	world_check(s->waiters == d->waiters);
	world_check(s->has_holder == d->held);
	if (d->held)
		world_check(s->holder.id == d->holder && s->holder.hidden == d->hidden &&
			    s->holder.position == 0);
	world_check(s->dirty == d->dirty);
	world_check(s->saved.size == (d->saved < 0 ? 0 : o.saved[d->saved].size));
	if (s->saved.size)
		world_check(memcmp(s->saved.bytes, o.saved[d->saved].bytes, s->saved.size) == 0);
	if (d->granted || s->token.size) {
		struct detail *k = detail_of(d->id);

		world_check(s->token.size == sizeof(k->token));
		world_check(
		    !k->has_token || memcmp(k->token, s->token.bytes, sizeof(k->token)) == 0);
		memcpy(k->token, s->token.bytes, sizeof(k->token));
		k->has_token = true;
	}
}

void oracle_said(const struct caller *c, const ttylock_Envelope *e)
{
	if (e->which_body == ttylock_Envelope_event_tag || o.blind)
		return;
	const struct due *d = o.due_at < o.due_count ? &o.due[o.due_at] : NULL;
	if (e->which_body == ttylock_Envelope_status_report_tag && e->body.status_report.last &&
	    !(d && d->to == c && d->kind == e->which_body) &&
	    idle_said(c, e->body.status_report.query))
		return;
	world_check(d);
	o.due_at++;
	world_check(d->to == c && d->kind == e->which_body);
	switch (d->kind) {
	case ttylock_Envelope_lock_status_tag:
		status_compare(d, &e->body.lock_status);
		break;
	case ttylock_Envelope_error_tag:
		world_check((int)e->body.error.code == d->code && e->body.error.ref == d->ref);
		break;
	case ttylock_Envelope_status_report_tag:
		world_check(e->body.status_report.query == d->ref &&
			    e->body.status_report.last == d->last &&
			    e->body.status_report.has_entry == !d->last);
		if (!d->last)
			world_check(e->body.status_report.entry.id == d->id &&
				    e->body.status_report.entry.position == d->position &&
				    e->body.status_report.entry.hidden == d->hidden);
		break;
	default:
		break;
	}
}

void oracle_settled(void)
{
	if (o.blind)
		return;
	world_check(o.due_at == o.due_count);
	o.due_at = o.due_count = 0;
	for (uint64_t n = 1; n <= o.last_owner; n++) {
		const struct mind *m = &o.minds[n % CALLERS_MAX];

		for (int i = 0; i < m->idle_count && !m->caller->gone; i++)
			world_check(is_busy(m->caller, m->tree, m->idle[i].below, false));
	}
}

/* --- messages ------------------------------------------------------------------------ */

/* Whom a caller means by its number. */
static struct plain *by_number(const struct caller *c, uint64_t number)
{
	for (int i = 0; i < plain_count; i++) {
		if (plain[i].owner == c->id && detail_of(plain[i].id)->number == number)
			return &plain[i];
	}
	return NULL;
}

static int open_terminal(const struct caller *c, uint32_t n, int terminal)
{
	struct mind *m = mind_of(c);

	if (!c->proof_pending)
		return -EPROTO;
	if (n >= 8) {
		error_due(c, ttylock_Code_ERROR_INVALID, 0);
		return 0;
	}
	m->terminals[n] = -1;
	if (c->proof_error || world.terminals[terminal].dead)
		error_due(c, ttylock_Code_ERROR_TERMINAL, 0);
	else
		m->terminals[n] = terminal;
	return 0;
}

/* Half of what the others leave, and a sixteenth is root's. */
static bool over_quota(const struct caller *c)
{
	uint32_t mine = 0, total = o.requests_max, others;

	for (int i = 0; i < plain_count; i++)
		mine += detail_of(plain[i].id)->caller->cred.uid == c->cred.uid;
	others = (uint32_t)plain_count - mine;
	if (c->cred.uid == 0)
		return mine + others >= total;
	total -= total / 16;
	return mine + others >= total || mine >= (total - others + 1) / 2;
}

static ttylock_Code wish_error(const struct caller *c, const ttylock_LockRequest *r)
{
	if ((int)r->reason < 0 || (int)r->reason > 3 || r->subject_pid < 0 || r->terminal >= 8)
		return ttylock_Code_ERROR_INVALID;
	int t = mind_of(c)->terminals[r->terminal];
	if (t < 0 || world.terminals[t].dead)
		return ttylock_Code_ERROR_TERMINAL;
	return over_quota(c) ? ttylock_Code_ERROR_QUOTA : ttylock_Code_ERROR_NONE;
}

static uint64_t by_token(const uint8_t token[16])
{
	for (int i = 0; i < plain_count; i++) {
		const struct detail *k = detail_of(plain[i].id);

		if (k->has_token && memcmp(k->token, token, 16) == 0)
			return plain[i].id;
	}
	return 0;
}

/* It is that caller's from now on. */
static void reown(struct plain *p, const struct caller *c, uint64_t number)
{
	struct detail *k = detail_of(p->id);

	p->owner = c->id;
	k->caller = c;
	k->number = number;
	k->tree = mind_of(c)->tree;
	struct due *d = status_due(
	    c, number, p->id, p->holds ? ttylock_State_STATE_GRANTED : ttylock_State_STATE_QUEUED);
	d->waiters = (uint32_t)plain_waiters(p->terminal) - !p->holds;
	if (p->holds) {
		int level = plain_level(p->terminal, p->id);
		const struct level *base = &spot[p->terminal].level[level - 1];
		k->granted = ++o.grants;
		d->granted = true;
		d->dirty = base->left.dirty;
		d->saved = base->left.saved;
		return;
	}
	for (int l = spot[p->terminal].holders; l >= 0; l--) {
		const struct level *level = &spot[p->terminal].level[l];

		for (int i = 0; i < level->queued; i++) {
			d->position++;
			if (level->queue[i] == p->id) {
				holder_due(d, p->terminal);
				return;
			}
		}
	}
}

static void reclaim(const struct caller *c, const ttylock_LockRequest *r)
{
	struct plain *p = plain_find(by_token(r->reclaim.bytes));
	ttylock_Code code = ttylock_Code_ERROR_NONE;

	if (!p || p->owner == c->id)
		code = ttylock_Code_ERROR_NOT_FOUND;
	else if (p->process != c->cred.process || detail_of(p->id)->caller->cred.uid != c->cred.uid)
		code = ttylock_Code_ERROR_DENIED;
	if (code)
		status_due(c, r->request, 0, ttylock_State_STATE_REFUSED)->code = (int)code;
	else
		reown(p, c, r->request);
}

/* A request of before the restart by the same task for the same terminal. */
static struct plain *asked_before(const struct caller *c, const struct plain *wish)
{
	for (int i = 0; i < plain_count; i++) {
		const struct caller *owner = detail_of(plain[i].id)->caller;

		if (plain[i].process == wish->process && plain[i].terminal == wish->terminal &&
		    plain[i].task == wish->task && owner->absent && owner->cred.uid == c->cred.uid)
			return &plain[i];
	}
	return NULL;
}

static void lock(const struct caller *c, const ttylock_LockRequest *r)
{
	if (r->request == 0 || by_number(c, r->request)) {
		error_due(c, ttylock_Code_ERROR_INVALID, r->request);
		return;
	}
	if (r->reclaim.size == 16) {
		reclaim(c, r);
		return;
	}
	ttylock_Code code = wish_error(c, r);
	if (code) {
		status_due(c, r->request, 0, ttylock_State_STATE_REFUSED)->code = (int)code;
		return;
	}
	struct plain wish = {
	    .id = o.last_id + 1,
	    .owner = c->id,
	    .process = c->cred.process,
	    .terminal = (uint64_t)mind_of(c)->terminals[r->terminal] + 1,
	    .task = r->task.id % REFERENCE_TASKS,
	};
	int under = plain_level(wish.terminal, r->under.size == 16 ? by_token(r->under.bytes) : 0);
	enum locktable_outcome want = plain_want(&wish, under, r->nonblock);

	if (want == LOCKTABLE_DEADLOCK && asked_before(c, &wish)) {
		reown(asked_before(c, &wish), c, r->request);
		return;
	}
	if (want > LOCKTABLE_QUEUED) {
		struct due *d = status_due(c, r->request, 0, ttylock_State_STATE_REFUSED);
		d->code =
		    want == LOCKTABLE_BUSY ? ttylock_Code_ERROR_BUSY : ttylock_Code_ERROR_DEADLOCK;
		d->waiters = (uint32_t)plain_waiters(wish.terminal);
		holder_due(d, wish.terminal);
		return;
	}
	o.last_id++;
	world_check(o.last_id < IDS_MAX);
	*detail_of(wish.id) = (struct detail){
	    .caller = c,
	    .number = r->request,
	    .tree = mind_of(c)->tree,
	    .first_tree = mind_of(c)->tree,
	    .subject = r->subject_pid ? r->subject_pid : c->cred.pid,
	};
	uint32_t waiters = (uint32_t)plain_waiters(wish.terminal);
	uint32_t position = plain_add(&wish, under, want == LOCKTABLE_GRANTED);
	if (want == LOCKTABLE_GRANTED) {
		grant_due(wish.id);
		return;
	}
	struct due *d = status_due(c, r->request, wish.id, ttylock_State_STATE_QUEUED);
	d->position = position;
	d->waiters = waiters;
	holder_due(d, wish.terminal);
}

static struct plain *steered(const struct caller *c, uint64_t id, bool want_holder)
{
	struct plain *p = plain_find(id);

	if (!p)
		error_due(c, ttylock_Code_ERROR_NOT_FOUND, id);
	else if (!may_see(c, p))
		error_due(c, ttylock_Code_ERROR_DENIED, id);
	else if (p->holds != want_holder)
		error_due(c, ttylock_Code_ERROR_INVALID, id);
	else
		return p;
	return NULL;
}

static void steer(const struct caller *c, uint64_t id, bool want_holder)
{
	if (!steered(c, id, want_holder))
		return;
	end_request(id, LOCKTABLE_DIRTY, c);
	status_due(
	    c, 0, id, want_holder ? ttylock_State_STATE_RELEASED : ttylock_State_STATE_CANCELLED);
}

static void serve_first(const struct caller *c, uint64_t id)
{
	const struct plain *p = steered(c, id, false);
	uint32_t position;
	bool moved;

	if (!p)
		return;
	if (plain_serve_first(p, &position, &moved) != LOCKTABLE_QUEUED) {
		error_due(c, ttylock_Code_ERROR_DEADLOCK, id);
		return;
	}
	struct due *d = status_due(
	    detail_of(id)->caller, detail_of(id)->number, id, ttylock_State_STATE_QUEUED);
	d->position = position;
	d->waiters = (uint32_t)plain_waiters(p->terminal) - 1;
	holder_due(d, p->terminal);
	status_due(c, 0, id, ttylock_State_STATE_QUEUED)->position = position;
}

static void save(const struct caller *c, const ttylock_TerminalState *m)
{
	const struct plain *p = by_number(c, m->request);

	if (!p || !p->holds)
		return;
	int *saved = &spot[p->terminal].level[plain_level(p->terminal, p->id)].saved;
	*saved = -1;
	if (m->saved.size == 0)
		return;
	world_check(o.saved_count < SAVED_MAX);
	memcpy(o.saved[o.saved_count].bytes, m->saved.bytes, m->saved.size);
	o.saved[o.saved_count].size = m->saved.size;
	*saved = o.saved_count++;
}

static void report_one(
    const struct caller *c, uint64_t id, uint32_t position, const ttylock_StatusQuery *m)
{
	const struct plain *p = plain_find(id);

	if (m->below && !keeps_waiting(p, c, 0, m->below, true))
		return;
	struct due *d = due_add(c, ttylock_Envelope_status_report_tag);
	d->ref = m->query;
	d->hidden = !may_see(c, p);
	d->id = d->hidden ? 0 : id;
	d->position = position;
}

/* Those that somebody holds, as the table walks through them. */
static int terminals_of(const struct locktable *table, uint64_t terminals[])
{
	struct locktable_cursor cursor = {0};
	struct locktable_view v;
	uint64_t last = 0;
	int n = 0;

	while (locktable_next(table, &cursor, &v)) {
		const struct plain *p = plain_find(v.request);

		world_check(p && n <= REFERENCE_TERMINALS);
		if (v.terminal == last)
			continue;
		world_check(n < REFERENCE_TERMINALS);
		terminals[n++] = p->terminal;
		last = v.terminal;
	}
	return n;
}

static void report(const struct caller *c, const ttylock_StatusQuery *m)
{
	if (m->below < 0) {
		error_due(c, ttylock_Code_ERROR_INVALID, m->query);
		return;
	}
	/* In which order the terminals come says nothing. */
	uint64_t terminals[REFERENCE_TERMINALS];
	int n = terminals_of(o.broker->table, terminals);
	for (int t = 0; t < n; t++) {
		const struct spot *s = &spot[terminals[t]];
		uint32_t position = 0;

		for (int l = s->holders; l > 0; l--)
			report_one(c, s->level[l].grant, 0, m);
		for (int l = s->holders; l >= 0; l--) {
			for (int i = 0; i < s->level[l].queued; i++)
				report_one(c, s->level[l].queue[i], ++position, m);
		}
	}
	struct due *d = due_add(c, ttylock_Envelope_status_report_tag);
	d->ref = m->query;
	d->last = true;
}

static void wait_idle(const struct caller *c, const ttylock_WaitIdle *w)
{
	struct mind *m = mind_of(c);

	if (w->below < 0 || (w->below == 0 && m->tree == 0)) {
		error_due(c, ttylock_Code_ERROR_INVALID, w->query);
	} else if (!is_busy(c, m->tree, w->below, true)) {
		struct due *d = due_add(c, ttylock_Envelope_status_report_tag);

		d->ref = w->query;
		d->last = true;
	} else if (m->idle_count == IDLE_COUNT) {
		error_due(c, ttylock_Code_ERROR_QUOTA, w->query);
	} else {
		m->idle[m->idle_count].query = w->query;
		m->idle[m->idle_count++].below = w->below;
	}
}

static int hello(const struct caller *c, const ttylock_Hello *m)
{
	if (c->greeted)
		return -EPROTO;
	if (m->version != 1) {
		error_due(c, ttylock_Code_ERROR_VERSION, 0);
		return -EPROTO;
	}
	mind_of(c)->tree = m->tree;
	due_add(c, ttylock_Envelope_welcome_tag);
	return 0;
}

static bool is_the_daemons(pb_size_t kind)
{
	return kind == ttylock_Envelope_welcome_tag || kind == ttylock_Envelope_lock_status_tag ||
	       kind == ttylock_Envelope_status_report_tag || kind == ttylock_Envelope_event_tag ||
	       kind == ttylock_Envelope_error_tag;
}

/* What a process had said before it died, and only that which ends something. */
static bool counts(const struct caller *c, pb_size_t kind)
{
	return !c->dying || kind == ttylock_Envelope_lock_release_tag ||
	       kind == ttylock_Envelope_lock_cancel_tag ||
	       kind == ttylock_Envelope_terminal_state_tag;
}

static int greeted_request(const struct caller *c, const ttylock_Envelope *e, int terminal)
{
	const struct plain *p = NULL;

	switch (e->which_body) {
	case ttylock_Envelope_terminal_open_tag:
		return open_terminal(c, e->body.terminal_open.terminal, terminal);
	case ttylock_Envelope_lock_request_tag:
		lock(c, &e->body.lock_request);
		break;
	case ttylock_Envelope_lock_release_tag:
		p = by_number(c, e->body.lock_release.request);
		if (p)
			end_request(p->id, LOCKTABLE_CLEAN, NULL);
		break;
	case ttylock_Envelope_lock_cancel_tag:
		if (e->body.lock_cancel.request == 0) {
			steer(c, e->body.lock_cancel.id, false);
			break;
		}
		p = by_number(c, e->body.lock_cancel.request);
		if (p)
			end_request(p->id, LOCKTABLE_UNTOUCHED, NULL);
		break;
	case ttylock_Envelope_terminal_state_tag:
		save(c, &e->body.terminal_state);
		break;
	case ttylock_Envelope_status_query_tag:
		report(c, &e->body.status_query);
		break;
	case ttylock_Envelope_wait_idle_tag:
		wait_idle(c, &e->body.wait_idle);
		break;
	case ttylock_Envelope_watch_tag:
		break;
	case ttylock_Envelope_force_release_tag:
		steer(c, e->body.force_release.id, true);
		break;
	case ttylock_Envelope_serve_first_tag:
		serve_first(c, e->body.serve_first.id);
		break;
	default:
		return -EPROTO;
	}
	return 0;
}

void oracle_overdue(uint64_t id)
{
	if (o.blind)
		return;
	world_check(plain_find(id) && !plain_find(id)->holds && detail_of(id)->caller->absent);
	end_request(id, LOCKTABLE_DIRTY, NULL);
}

void oracle_restarted(void)
{
	o.due_at = o.due_count = 0;
	memset(o.minds, 0, sizeof(o.minds));
	o.last_owner = 0;
	for (int i = 0; i < plain_count && !o.blind; i++) {
		const struct ticket *k = tickets_by_id(&o.broker->tickets, plain[i].id);

		world_check(k && k->caller->absent);
		detail_of(plain[i].id)->caller = k->caller;
		detail_of(plain[i].id)->number = plain[i].id;
	}
	oracle_compare();
}

bool oracle_is_blind(void)
{
	return o.blind;
}

void oracle_lose_track(void)
{
	o.blind = true;
}

int oracle_request(const struct caller *c, const ttylock_Envelope *e, int terminal)
{
	int rc;

	if (o.blind)
		return 0;

	if (e->which_body == ttylock_Envelope_hello_tag && !c->greeted)
		rc = c->dying ? 0 : hello(c, &e->body.hello);
	else if (!c->greeted || e->which_body == ttylock_Envelope_hello_tag ||
		 is_the_daemons(e->which_body))
		rc = -EPROTO;
	else if (counts(c, e->which_body))
		rc = greeted_request(c, e, terminal);
	else
		rc = 0;
	if (rc < 0)
		mind_of(c)->may_close = true;
	return rc;
}

/* --- looking at it -------------------------------------------------------------------- */

bool oracle_pick(unsigned n, struct oracle_choice *out)
{
	if (plain_count == 0)
		return false;
	const struct plain *p = &plain[n % (unsigned)plain_count];
	const struct detail *k = detail_of(p->id);

	*out = (struct oracle_choice){
	    .id = p->id,
	    .number = k->number,
	    .owner = p->owner,
	    .token = k->has_token ? k->token : NULL,
	};
	return true;
}

static void walk(const struct locktable *t, struct locktable_cursor *c, uint64_t id, uint32_t at)
{
	struct locktable_view v;

	world_check(locktable_next(t, c, &v));
	world_check(v.request == id && v.position == at && v.holds == (at == 0));
	world_check(v.owner == plain_find(id)->owner);
}

/* Terminals that nobody is at, but that are to be mended: the daemon may have forgotten
 * those that are dead. */
static void kept_compare(const struct broker *b)
{
	uint32_t living = 0, dead = 0;

	for (uint64_t t = 1; t <= REFERENCE_TERMINALS; t++) {
		if (plain_holder(t) || !spot[t].level[0].left.dirty)
			continue;
		living += !world.terminals[t - 1].dead;
		dead += world.terminals[t - 1].dead;
	}
	world_check(b->kept >= living && b->kept <= living + dead);
}

void oracle_compare(void)
{
	const struct locktable *table = o.broker->table;
	struct locktable_cursor cursor = {0};
	struct locktable_view v;
	uint64_t terminals[REFERENCE_TERMINALS];

	if (o.blind)
		return;
	world_check(locktable_requests(table) == (uint32_t)plain_count);
	int n = terminals_of(table, terminals);
	for (int t = 0; t < n; t++) {
		const struct spot *s = &spot[terminals[t]];
		uint32_t position = 0;

		for (int l = s->holders; l > 0; l--)
			walk(table, &cursor, s->level[l].grant, 0);
		for (int l = s->holders; l >= 0; l--) {
			for (int i = 0; i < s->level[l].queued; i++)
				walk(table, &cursor, s->level[l].queue[i], ++position);
		}
	}
	world_check(!locktable_next(table, &cursor, &v));
	kept_compare(o.broker);
}
