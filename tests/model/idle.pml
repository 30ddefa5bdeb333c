/* Who waits until a tree has no more requests: two requests for one terminal, each of
 * the tree or not, and a run's end that waits. Daemons die and are restarted on what
 * the last one has recorded; a request that comes back may be another tree's by then.
 *
 *   BUG (in the environment)
 *       1  one that comes back as another tree's is not looked at
 *       2  those that wait are looked after between an end and the next grant, and
 *          only who holds is seen
 *       3  those that wait on a request that ends are not looked after
 *       4  who has not come back after a restart is not seen
 */
#define N 2
#define NOBODY 255
#define DEATHS 2

mtype:record = { NONE, WAITS, HOLDS };
mtype:wait = { UNASKED, ASKED, TOLD };

/* The ledger: request and tree of each client; ours is one tree, all others the other. */
mtype:record record[N] = NONE;
bool ours[N], asked[N];
/* The daemon's memory. */
bool up = true, absent[N];
byte busy = NOBODY; /* the request on which the one that waits does so */
mtype:wait wait = UNASKED;
byte deaths;
hidden byte i, BUG, nobody_is_left, waits_for_its_own_tree;

#define KEEPS_WAITING(c, n) (record[c] != NONE && ours[c] && !(BUG == 4 && absent[c]) && \
	!(n && record[c] != HOLDS))

/* Waits on any, or is told. */
inline look(holders_only)
{
	if
	:: KEEPS_WAITING(0, holders_only) -> busy = 0
	:: !KEEPS_WAITING(0, holders_only) && KEEPS_WAITING(1, holders_only) -> busy = 1
	:: else ->
		nobody_is_left = (record[0] == NONE || !ours[0]) && (record[1] == NONE || !ours[1]);
		assert(nobody_is_left);
		busy = NOBODY;
		wait = TOLD
	fi
}

inline turn_ends()
{
	waits_for_its_own_tree = busy == NOBODY || (record[busy] != NONE && ours[busy]);
	assert(waits_for_its_own_tree)
}

/* What of a request that has ended kept others waiting, is found anew once the next
 * one has the terminal. */
inline end_request(c)
{
	d_step {
		record[c] = NONE;
		absent[c] = false;
		i = (busy == c);
		if
		:: i -> busy = NOBODY
		:: else
		fi;
		if
		:: i && BUG == 2 -> look(true)
		:: else
		fi;
		if
		:: record[1 - c] == WAITS -> record[1 - c] = HOLDS
		:: else
		fi;
		if
		:: i && BUG != 2 && BUG != 3 -> look(false)
		:: else
		fi;
		turn_ends()
	}
}

/* One that may be killed at any time: its end is the same. */
proctype Client(byte c)
{
	do
	:: atomic {
		up && !asked[c] ->
		asked[c] = true;
		if
		:: ours[c] = true
		:: true
		fi;
		record[c] = (record[1 - c] == NONE -> HOLDS : WAITS)
	}
	:: atomic {
		up && absent[c] ->
		absent[c] = false;
		if
		:: ours[c] = !ours[c]
		:: true
		fi;
		if
		:: busy == c && !ours[c] && BUG != 1 -> busy = NOBODY; look(false)
		:: else
		fi;
		turn_ends()
	}
	:: atomic { up && record[c] != NONE -> end_request(c) }
	:: up && asked[c] && record[c] == NONE -> break
	od
}

proctype Waiter()
{
	do
	:: atomic { up && wait == UNASKED -> wait = ASKED; look(false); turn_ends() }
	:: wait == TOLD -> break
	od
}

/* Whoever waited asks the next daemon. */
proctype Daemon()
{
end:	do
	:: d_step {
		up && deaths > 0 ->
		deaths--;
		up = false;
		busy = NOBODY;
		absent[0] = record[0] != NONE;
		absent[1] = record[1] != NONE;
		wait = (wait == ASKED -> UNASKED : wait)
	}
	:: !up -> up = true
	od
}

active proctype Final()
{
	atomic {
		c_code { BUG = getenv("BUG") ? atoi(getenv("BUG")) : 0; };
		deaths = DEATHS;
		run Client(0);
		run Client(1);
		run Waiter();
		run Daemon()
	}
	timeout -> assert(wait == TOLD && record[0] == NONE && record[1] == NONE)
}
