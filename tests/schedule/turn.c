#include "turn.h"

#include <errno.h>

#include "../../client/lib/lock.h"
#include "schedule.h"
#include "stage.h"

enum kind { ANY = 1, LEAVING, CLEAN, DIRTY };

static int take(const char *name, enum kind kind)
{
	struct ttylock_wish wish = {.task_name = name};
	ttylock_LockStatus granted;
	struct ttylock *t;
	uint64_t id;

	ACTOR_EXPECT(ttylock_open(&t, stage_terminal(), 0) == 0);
	ACTOR_EXPECT(ttylock_acquire(t, &wish, -1, &id) == 0);
	ACTOR_EXPECT(lock_last(t, id, &granted) == 0);
	ACTOR_EXPECT(kind != CLEAN || !granted.dirty);
	ACTOR_EXPECT(kind != DIRTY || granted.dirty);
	/* It begins with the terminal; else what was left there would be left for others. */
	ACTOR_EXPECT(lock_save(t, id, granted.saved.bytes, 0) == 0);
	SYNC_POINT("turn.held");
	ACTOR_EXPECT(ttylock_release(t, id) == 0);
	if (kind != LEAVING)
		ttylock_close(t);
	return 0;
}

int turn_take_and_leave(const char *name)
{
	return take(name, LEAVING);
}

int turn_take(const char *name)
{
	return take(name, ANY);
}

int turn_take_clean(const char *name)
{
	return take(name, CLEAN);
}

int turn_take_dirty(const char *name)
{
	return take(name, DIRTY);
}

int turn_of_child(struct ttylock *parents, unsigned long request)
{
	struct ttylock_wish wish = {.task_name = "child", .nonblock = true};
	struct ttylock *own;
	uint64_t id;

	if (parents) {
		ACTOR_EXPECT(ttylock_acquire(parents, &wish, -1, &id) == -ECONNRESET);
		int r = ttylock_release(parents, request);
		ACTOR_EXPECT(r == -ECONNRESET || r == -ENOENT);
		ttylock_close(parents);
	}
	ACTOR_EXPECT(ttylock_open(&own, stage_terminal(), 0) == 0);
	int r = ttylock_acquire(own, &wish, -1, &id);
	/* Under the parent's hold it is granted at once. */
	ACTOR_EXPECT(r == 0 || r == -EBUSY);
	ttylock_close(own);
	return 0;
}

/* --- by the actors' names --------------------------------------------------- */

int A_takes_a_turn(void *context)
{
	(void)context;
	return turn_take("A");
}

int B_takes_a_turn(void *context)
{
	(void)context;
	return turn_take("B");
}

int C_takes_a_turn(void *context)
{
	(void)context;
	return turn_take("C");
}

int D_takes_a_turn(void *context)
{
	(void)context;
	return turn_take("D");
}

bool A_is_granted(void *context)
{
	(void)context;
	return stage_holds("A");
}

bool C_is_granted(void *context)
{
	(void)context;
	return stage_holds("C");
}

bool A_waits(void *context)
{
	(void)context;
	return stage_waits("A");
}

bool C_waits(void *context)
{
	(void)context;
	return stage_waits("C");
}

bool holder_is_forced(void *context)
{
	(void)context;
	return stage_force();
}
