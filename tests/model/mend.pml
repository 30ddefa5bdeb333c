/* What a dead holder leaves of the terminal is mended by whoever has it next: three
 * clients, each of which takes the terminal as it finds it, tells the daemon how that
 * was, makes it raw, puts it back and releases it; or gives up before it has begun.
 * Any of them may be killed, and so may the daemon, at any instruction of a turn.
 *
 *   KILLS, DEATHS  how often, at most
 *   BUG            (both in the environment)
 *       1  one that comes back is not told again that it is dirty
 *       2  what is left is recorded behind the end of who left it
 *       3  who was told that it is dirty is taken to have mended it
 *       4  how it was is not recorded
 *       5  the end of one that never began is that of one that has mended it
 */
#define N 3
#define NOBODY 255

/* The terminal: as it was once, as a holder uses it, and by guess, where nobody could
 * say how it was. UNKNOWN is none of them. */
#define ORIGINAL 0
#define RAW	 1
#define GUESSED	 2
#define UNKNOWN	 3

mtype:message = { ASK, RECLAIM, SAVE, RELEASE, CANCEL };
mtype:record = { NONE, WAITS, HOLDS };
mtype:state = { NEW, ASKED, HAS, SAVED, USES, BACK, ENDED, LEFT };
mtype:connection = { CLOSED, OPEN, BROKEN };

byte terminal = ORIGINAL;
/* The ledger. */
mtype:record record[N] = NONE;
byte saved[N] = UNKNOWN; /* by a holder */
bool dirty;		 /* left by dead ones, and */
byte left = UNKNOWN;	 /* what the outermost of them had saved */
/* The daemon's memory. */
bool up = true, absent[N];
/* Clients. */
mtype:state state[N] = NEW;
mtype:connection connection[N] = CLOSED;
bool dead[N];
byte mine[N] = UNKNOWN; /* as it was when it took it */
chan up_to[N] = [3] of { mtype:message, byte };
chan down_to[N] = [2] of { bool, byte }; /* granted: dirty, and as it was */
byte kills, deaths;
bool heard[N], said; /* by a daemon: how it was; by those that have died */
hidden byte i, BUG, begins_on_a_terminal_in_order, what_was_said_is_known;
hidden byte what_is_raw_is_known, next;

inline crash()
{
	d_step {
		deaths--;
		up = false;
		i = 0;
		do
		:: i < N ->
			if
			:: connection[i] == OPEN -> connection[i] = (dead[i] -> CLOSED : BROKEN)
			:: else
			fi;
			do
			:: len(up_to[i]) > 0 -> up_to[i]?_, _
			:: else -> break
			od;
			absent[i] = false;
			i++
		:: else -> break
		od
	}
}

inline crash_or_not()
{
	if
	:: deaths > 0 -> crash()
	:: true
	fi
}

inline tell_granted(c, of_it)
{
	d_step {
		what_was_said_is_known = !dirty || !said || left != UNKNOWN;
		assert(what_was_said_is_known);
		if
		:: connection[c] == OPEN && !dead[c] -> down_to[c]!(dirty && of_it), left
		:: else
		fi;
		if
		:: BUG == 3 -> dirty = false
		:: else
		fi
	}
}

/* First come, first served is the other models': here anybody may be next, but who
 * has not come back is not granted anything. */
inline serve()
{
	if
	:: record[0] == HOLDS || record[1] == HOLDS || record[2] == HOLDS -> skip
	:: else ->
		if
		:: record[0] == WAITS && !absent[0] -> next = 0
		:: record[1] == WAITS && !absent[1] -> next = 1
		:: record[2] == WAITS && !absent[2] -> next = 2
		:: else -> next = NOBODY
		fi;
		if
		:: next != NOBODY ->
			record[next] = HOLDS;
			crash_or_not();
			if
			:: up -> tell_granted(next, true)
			:: else
			fi
		:: else
		fi
	fi
}

/* Who cancels has not begun, or has said how it was and put it back. */
inline leave(c, end)
{
	d_step {
		if
		:: end == RELEASE || (end == CANCEL && (saved[c] != UNKNOWN || BUG == 5)) ->
			dirty = false;
			left = UNKNOWN;
			said = false
		:: end == CANCEL && !(saved[c] != UNKNOWN || BUG == 5)
		:: end == 0 ->
			dirty = true;
			left = (saved[c] == UNKNOWN -> left : saved[c])
		fi
	}
}

inline end_request(c, end)
{
	if
	:: record[c] == HOLDS && BUG != 2 -> leave(c, end); crash_or_not()
	:: else
	fi;
	if
	:: up ->
		i = record[c] == HOLDS;
		record[c] = NONE;
		absent[c] = false;
		crash_or_not();
		if
		:: up && i && BUG == 2 -> leave(c, end)
		:: else
		fi;
		if
		:: up -> saved[c] = UNKNOWN; serve()
		:: else -> saved[c] = UNKNOWN
		fi
	:: else
	fi
}

inline on_message(c, m, value)
{
	if
	:: m == ASK && record[c] == NONE -> record[c] = WAITS; serve()
	:: m == RECLAIM && record[c] == NONE
	:: (m == ASK || m == RECLAIM) && record[c] != NONE ->
		absent[c] = false;
		if
		:: record[c] == HOLDS -> tell_granted(c, BUG != 1)
		:: else -> serve()
		fi
	:: m == SAVE && record[c] == HOLDS ->
		saved[c] = value;
		heard[c] = true
	:: m == SAVE && record[c] != HOLDS
	:: (m == RELEASE || m == CANCEL) && record[c] != NONE -> end_request(c, m)
	:: (m == RELEASE || m == CANCEL) && record[c] == NONE
	fi
}

/* A dead one's last words count; then its end. */
proctype Serve(byte c)
{
	mtype:message m;
	byte value;
end:	do
	:: atomic {
		up && connection[c] == OPEN && len(up_to[c]) > 0 ->
		up_to[c]?m, value;
		on_message(c, m, value);
		m = 0;
		value = 0
	}
	:: atomic {
		up && dead[c] && connection[c] == OPEN && len(up_to[c]) == 0 ->
		connection[c] = CLOSED;
		if
		:: record[c] == HOLDS -> said = said || heard[c]
		:: else
		fi;
		if
		:: record[c] != NONE -> end_request(c, 0)
		:: else
		fi
	}
	:: atomic {
		up && dead[c] && absent[c] ->
		if
		:: record[c] == HOLDS -> said = said || heard[c]
		:: else
		fi;
		end_request(c, 0)
	}
	od
}

proctype Manager()
{
end:	do
	:: atomic { up && deaths > 0 -> crash() }
	:: atomic {
		!up ->
		absent[0] = record[0] != NONE;
		absent[1] = record[1] != NONE;
		absent[2] = record[2] != NONE;
		if
		:: BUG == 4 -> saved[0] = UNKNOWN; saved[1] = UNKNOWN; saved[2] = UNKNOWN
		:: else
		fi;
		up = true
	}
	od
}

inline say(c, m)
{
	if
	:: connection[c] == OPEN -> up_to[c]!m, mine[c]
	:: else
	fi
}

proctype Client(byte c)
{
	bool is_dirty;
	byte was;
end:	do
	:: atomic { !dead[c] && state[c] == NEW && up ->
		connection[c] = OPEN; state[c] = ASKED; say(c, ASK) }
	/* What is said again after a restart, changes nothing for who has begun. */
	:: atomic { !dead[c] && len(down_to[c]) > 0 ->
		down_to[c]?is_dirty, was;
		if
		:: state[c] == ASKED ->
			if
			:: is_dirty -> terminal = (was == UNKNOWN -> GUESSED : was)
			:: else
			fi;
			begins_on_a_terminal_in_order = terminal != RAW;
			assert(begins_on_a_terminal_in_order);
			mine[c] = terminal;
			state[c] = HAS
		:: else
		fi;
		is_dirty = false;
		was = 0
	}
	:: atomic { !dead[c] && state[c] == HAS -> say(c, SAVE); state[c] = SAVED }
	:: atomic { !dead[c] && state[c] == SAVED -> terminal = RAW; state[c] = USES }
	:: atomic { !dead[c] && state[c] == USES -> terminal = mine[c]; state[c] = BACK }
	:: atomic { !dead[c] && state[c] == BACK -> say(c, RELEASE); state[c] = ENDED }
	/* It may have been granted meanwhile. */
	:: atomic { !dead[c] && (state[c] == ASKED || state[c] == HAS) -> say(c, CANCEL); state[c] = LEFT }
	:: atomic { !dead[c] && connection[c] == BROKEN && up ->
		connection[c] = OPEN;
		do
		:: len(down_to[c]) > 0 -> down_to[c]?_, _
		:: else -> break
		od;
		/* Whoever was granted it has a token. */
		if
		:: mine[c] == UNKNOWN -> say(c, ASK)
		:: else -> say(c, RECLAIM)
		fi;
		if
		:: state[c] == SAVED || state[c] == USES || state[c] == BACK -> say(c, SAVE)
		:: state[c] == ENDED -> say(c, RELEASE)
		:: state[c] == LEFT -> say(c, CANCEL)
		:: else
		fi
	}
	:: atomic { !dead[c] && kills > 0 && state[c] != NEW ->
		kills--;
		dead[c] = true;
		mine[c] = UNKNOWN;
		do
		:: len(down_to[c]) > 0 -> down_to[c]?_, _
		:: else -> break
		od;
		if
		:: connection[c] == BROKEN -> connection[c] = CLOSED
		:: else
		fi
	}
	od
}

active proctype Final()
{
	byte c;
	atomic {
		c_code {
			BUG = getenv("BUG") ? atoi(getenv("BUG")) : 0;
			now.kills = getenv("KILLS") ? atoi(getenv("KILLS")) : 0;
			now.deaths = getenv("DEATHS") ? atoi(getenv("DEATHS")) : 0;
		};
		do
		:: c < N -> run Client(c); run Serve(c); c++
		:: else -> break
		od;
		run Manager();
		c = 0
	}
	/* What is still raw is known to be dirty: the next one mends it. */
	timeout ->
	what_is_raw_is_known = record[0] == NONE && record[1] == NONE && record[2] == NONE &&
	    (terminal != RAW || dirty);
	assert(what_is_raw_is_known)
}
